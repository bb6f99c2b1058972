/**
 * Flags of the process and of how it reaches the cluster.
 *
 * @module
 */

import {
  booleanFlag,
  deprecated,
  flag,
  type FlagSpec,
  listFlag,
  planning,
  run,
  withoutEffect,
} from "../flag_spec.ts";
import * as value from "../values.ts";

export const PROCESS_FLAGS = {
  "cleanup": booleanFlag(
    false,
    "removes what a proxy left on this node, and exits: the same as the command cleanup",
    { commands: ["run"] },
  ),
  "output": flag(
    value.oneOf(["text", "json"]),
    "FORMAT",
    "text",
    "text, or json for programs",
    planning,
  ),
  "config": flag(
    value.nonEmpty("a file"),
    "FILE",
    null,
    "KubeProxyConfiguration, apiVersion kubeproxy.config.k8s.io/v1alpha1. Flags that it has fields " +
      "for are ignored, except --hostname-override and those of logging; when it changes, the " +
      "process ends, to be started again",
    run,
  ),
  "write-config-to": flag(
    value.nonEmpty("a file"),
    "FILE",
    null,
    "write the configuration that the flags make to this file, and exit",
    run,
  ),
  "init-only": booleanFlag(
    false,
    "set what needs full privileges (kernel parameters), and exit; afterwards CAP_NET_ADMIN is enough",
    run,
  ),
  "kubeconfig": flag(
    value.text,
    "FILE",
    "",
    "follow the cluster of this kubeconfig; unset in a pod: by the pod's service account",
    { commands: ["run"] },
  ),
  "master": flag(
    value.text,
    "URL",
    "",
    "address of the API server, instead of the kubeconfig's",
    { commands: ["run"] },
  ),
  "feature-gates": listFlag(
    value.switches,
    "NAME=BOOL",
    "",
    "Kubernetes feature gates: ComponentStatusz and ComponentFlagz, on unless switched off; others " +
      "have no effect",
  ),
  "kube-api-content-type": flag(
    value.text,
    "TYPE",
    "application/vnd.kubernetes.protobuf",
    "content type of requests to the API server",
    withoutEffect("requests are in JSON"),
  ),
  "kube-api-burst": flag(
    value.integer(0, 2 ** 31 - 1),
    "N",
    "10",
    "burst of requests allowed",
    withoutEffect("there are few requests: lists, watches and Events"),
  ),
  "kube-api-qps": flag(
    value.number,
    "N",
    "5",
    "requests a second allowed",
    withoutEffect("there are few requests: lists, watches and Events"),
  ),
  "config-sync-period": flag(
    value.duration,
    "DURATION",
    "15m",
    "how often what came from the API server is gone through again",
    withoutEffect("what is followed by watches needs no repetition"),
  ),
  "oom-score-adj": flag(
    value.integer(-1000, 1000),
    "N",
    "-999",
    "how much sooner or later than others this process is ended when memory runs out",
  ),
  "boot-id-file": flag(value.text, "FILE", "", "no effect", deprecated),
  "machine-id-file": flag(value.text, "FILE", "", "no effect", deprecated),
  "proxy-port-range": flag(value.text, "RANGE", "", "no effect", deprecated),
  "cleanup-ipvs": booleanFlag(true, "no effect", deprecated),
} satisfies Record<string, FlagSpec>;
