/**
 * Every flag: name, value, default, help, and which commands take it. The names and defaults of
 * kube-proxy's flags are kube-proxy's.
 *
 * @module
 */

import type { z } from "zod";
import { SCHEDULER_NAMES } from "../plan/scheduling.ts";
import * as value from "./values.ts";

/** The commands that take flags. */
export type FlagCommand = "run" | "lab" | "render" | "explain" | "diff" | "replay" | "cleanup";

/** How a flag is taken. */
export type FlagSupport =
  /** It does what it says. */
  | "honoured"
  /** kube-proxy has it; it is accepted, has no effect yet, and a line at the start says so. */
  | "not-yet"
  /** It has no effect, {@link FlagSpec.why}. */
  | "without-effect";

/** One flag. */
export interface FlagSpec {
  /** From what was typed (a list gets every occurrence) to the value; the message on failure. */
  readonly schema: z.ZodType<unknown, string> | z.ZodType<unknown, string[]>;
  readonly kind: "value" | "list" | "boolean";
  /** What stands for the value in the help. */
  readonly placeholder: string;
  /** As it would be typed; null: unset. */
  readonly default: string | null;
  /** Whether an empty value is none, as kube-proxy's flags of chosen words take it. */
  readonly emptyIsUnset?: boolean;
  readonly help: string;
  readonly commands: readonly FlagCommand[];
  readonly support: FlagSupport;
  /** Why a flag has no effect. */
  readonly why?: string;
}

/** Those that serve. */
const AGENT: readonly FlagCommand[] = ["run", "lab"];
/** Those that make a plan. */
const PLANNING: readonly FlagCommand[] = [...AGENT, "render", "explain", "diff", "replay"];
/** Those that can ask a running agent instead. */
const ASKING: readonly FlagCommand[] = ["explain", "diff", "replay"];
const EVERY: readonly FlagCommand[] = [...PLANNING, "cleanup"];

interface Extra {
  readonly emptyIsUnset?: boolean;
  readonly commands?: readonly FlagCommand[];
  readonly support?: FlagSupport;
  readonly why?: string;
}

function flag<S extends z.ZodType<unknown, string>>(
  schema: S,
  placeholder: string,
  defaultText: string | null,
  help: string,
  extra: Extra = {},
) {
  const rest = { commands: AGENT, support: "honoured" as FlagSupport, ...extra };
  return { schema, kind: "value" as const, placeholder, default: defaultText, help, ...rest };
}

function listFlag<S extends z.ZodType<unknown, string[]>>(
  schema: S,
  placeholder: string,
  defaultText: string,
  help: string,
  extra: Extra = {},
) {
  const rest = { commands: AGENT, support: "honoured" as FlagSupport, ...extra };
  return { schema, kind: "list" as const, placeholder, default: defaultText, help, ...rest };
}

function booleanFlag(defaultValue: boolean, help: string, extra: Extra = {}) {
  const rest = { commands: AGENT, support: "honoured" as FlagSupport, ...extra };
  const schema = value.boolean;
  return {
    schema,
    kind: "boolean" as const,
    placeholder: "",
    default: String(defaultValue),
    help,
    ...rest,
  };
}

const planning = { commands: PLANNING } as const;
const every = { commands: EVERY } as const;
const explaining = { commands: ["explain"] } as const;
const replaying = { commands: ["replay"] } as const;
const differing = { commands: ["diff"] } as const;
const run = { commands: ["run"] } as const;
const withoutEffect = (why: string) => ({ support: "without-effect", why } as const);
/** kube-proxy takes them, and does nothing with them either. */
const deprecated = withoutEffect("kube-proxy does nothing with it either");

/** What `--proxy-mode` may be. */
export const PROXY_MODES = ["iptables", "ipvs", "nftables", "userspace"] as const;

/** What `--iptables-chain-naming` may be. */
export const CHAIN_NAMINGS = ["documented", "current"] as const;

/** Every flag by name. */
export const FLAGS = {
  "flows": flag(
    value.input("a file, or - for standard input"),
    "FILE",
    null,
    "flows to explain, JSON: [{name, source, dest, port, protocol}, ...]",
    explaining,
  ),
  "iptables-save": flag(
    value.input("a file, or - for standard input"),
    "FILE",
    null,
    "the rules of any node: what iptables-save and ip6tables-save print, one after the other",
    { commands: ["explain", "diff"] },
  ),
  "this-node": booleanFlag(false, "compares with the rules of this node, as root", differing),
  "verify": booleanFlag(
    false,
    "also asks engine and rules about every frontend, and says where they do not agree",
    differing,
  ),
  "server": flag(
    value.server,
    "URL",
    null,
    "asks the API of a running agent: http://HOST:PORT, https://HOST:PORT or unix:/PATH",
    { commands: ASKING },
  ),
  "as-of": flag(
    value.integer(1, Number.MAX_SAFE_INTEGER),
    "ID",
    null,
    "with --server: asks the plan as it was behind this entry of the history",
    explaining,
  ),
  "limit": flag(
    value.integer(1, 10_000),
    "N",
    "1000",
    "connections, and destinations of unmatched packets, that are listed",
    replaying,
  ),
  "seed": flag(
    value.integer(0, Number.MAX_SAFE_INTEGER),
    "N",
    "1",
    "decides all that is random; the same one gives the same report",
    replaying,
  ),
  "ipset-save": flag(
    value.input("a file, or - for standard input"),
    "FILE",
    null,
    "the sets that those rules use: what ipset save prints",
    explaining,
  ),
  "ipvsadm-save": flag(
    value.input("a file, or - for standard input"),
    "FILE",
    null,
    "the virtual servers beside those rules: what ipvsadm-save -n prints",
    explaining,
  ),
  "manifests": flag(
    value.input("a file, a folder, or - for standard input"),
    "FILE|DIR|-",
    null,
    "Kubernetes manifests, YAML or JSON; run and lab follow a file or folder live",
    planning,
  ),
  "proxy-mode": flag(
    value.oneOf(PROXY_MODES),
    "MODE",
    null,
    `how packets are forwarded: ${PROXY_MODES.join(", ")}; unset: the best that works here`,
    { ...planning, emptyIsUnset: true },
  ),
  "hostname-override": flag(
    value.text,
    "NODE",
    "",
    "name of this node; unset: the hostname",
    planning,
  ),
  "node-ip": listFlag(
    value.addresses,
    "ADDRESS",
    "",
    "the node's addresses, the primary ones first; unset: the Node object's and the interfaces'",
    planning,
  ),
  "cluster-cidr": listFlag(
    value.networkPerFamily,
    "NETWORK",
    "",
    "networks of the pods; sources outside them are masqueraded to cluster IPs",
    planning,
  ),
  "detect-local-mode": flag(
    value.oneOf(["ClusterCIDR", "NodeCIDR", "BridgeInterface", "InterfaceNamePrefix"]),
    "MODE",
    "ClusterCIDR",
    "how traffic of pods is recognised: by --cluster-cidr, or NodeCIDR: the node's podCIDRs, or, in " +
      "iptables mode, by BridgeInterface or InterfaceNamePrefix",
    { ...planning, emptyIsUnset: true },
  ),
  "pod-bridge-interface": flag(
    value.interfaceName,
    "NAME",
    "",
    "the bridge that local pods' traffic comes by, for --detect-local-mode BridgeInterface",
    planning,
  ),
  "pod-interface-name-prefix": flag(
    value.interfaceName,
    "PREFIX",
    "",
    "how the names of local pods' links begin, for --detect-local-mode InterfaceNamePrefix",
    planning,
  ),
  "ip-family": flag(
    value.oneOf(["ipv4", "ipv6", "dual"]),
    "FAMILY",
    "dual",
    "which IP families are served: ipv4, ipv6, dual",
    planning,
  ),
  "service-cluster-ip-range": listFlag(
    value.networkPerFamily,
    "NETWORK",
    "10.96.0.0/12,fd00:10:96::/112",
    "where cluster IPs come from that manifests leave open",
    planning,
  ),
  "nodeport-addresses": listFlag(
    value.nodePortAddresses,
    "NETWORK",
    "",
    'networks whose addresses of this node answer node ports, or "primary"; unset: all',
    planning,
  ),
  "masquerade-all": booleanFlag(false, "masquerade all traffic to cluster IPs", planning),
  "iptables-masquerade-bit": flag(
    value.integer(0, 31),
    "BIT",
    "14",
    "bit of the packet mark that asks for masquerading, in iptables mode",
    planning,
  ),
  "iptables-localhost-nodeports": booleanFlag(
    true,
    "node ports answer on 127.0.0.1 too, in iptables mode",
    planning,
  ),
  "iptables-chain-naming": flag(
    value.oneOf(CHAIN_NAMINGS),
    "NAMING",
    "documented",
    "what names the chains of ports without a name in iptables mode: documented, as Kubernetes' " +
      "documentation shows them, or current, as kube-proxy has hashed them since; others' are the same",
    planning,
  ),
  "iptables-sync-period": flag(
    value.duration,
    "DURATION",
    "30s",
    "in iptables mode, a sync that failed is tried again after this, and flushes are looked for",
  ),
  "iptables-min-sync-period": flag(
    value.duration,
    "DURATION",
    "1s",
    "least time from one sync to the next in iptables mode",
  ),
  "ipvs-scheduler": flag(
    value.oneOf(SCHEDULER_NAMES),
    "NAME",
    null,
    "how backends are chosen, in userspace mode too; unset: rr",
    { ...planning, emptyIsUnset: true },
  ),
  "ipvs-scheduler-flags": listFlag(
    value.schedulerFlags,
    "FLAG",
    "",
    "what that scheduler is told: sh-fallback, sh-port, mh-fallback, mh-port; unset: mh-port for mh",
    planning,
  ),
  "ipvs-graceful-deadline": flag(
    value.duration,
    "DURATION",
    "0s",
    "in ipvs mode, when a removed endpoint's connections end at the latest; 0s: when they end",
  ),
  "proxy-mode-strict": booleanFlag(
    false,
    "a --proxy-mode that does not work here is an error; else the next best is taken",
  ),
  "healthz-bind-address": flag(
    value.listenAddress(10256),
    "ADDRESS:PORT",
    "0.0.0.0:10256",
    'where /healthz and /livez answer; "" for nowhere',
  ),
  "metrics-bind-address": flag(
    value.listenAddress(10249),
    "ADDRESS:PORT",
    "127.0.0.1:10249",
    'where /metrics and /proxyMode answer; "" for nowhere',
  ),
  "api-bind-address": flag(
    value.listenAddress(10247),
    "ADDRESS:PORT",
    "127.0.0.1:10247",
    'where the rule-query API answers; "" for nowhere',
  ),
  "api-token-file": flag(
    value.nonEmpty("a file that holds the token"),
    "FILE",
    null,
    "bearer token that the rule-query API asks for; needed when it is not on loopback",
    { commands: [...AGENT, ...ASKING] },
  ),
  "state-dir": flag(
    value.nonEmpty("a folder"),
    "DIR",
    null,
    "where the history of plans and rules is kept over restarts; unset: nowhere",
  ),
  "bind-address-hard-fail": booleanFlag(
    false,
    "a health or metrics address that cannot be bound is fatal, not retried",
  ),
  "bind-address": flag(
    value.address,
    "ADDRESS",
    null,
    "overrides the node's primary address, unless it is 0.0.0.0 or ::",
    planning,
  ),
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
  "logging-format": flag(
    value.oneOf(["text", "json"]),
    "FORMAT",
    "text",
    "log lines: text, json",
    every,
  ),
  "v": flag(
    value.integer(0, 2 ** 31 - 1),
    "LEVEL",
    "0",
    "how much is logged: 4 and more for debugging",
    every,
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
  "ipvs-sync-period": flag(
    value.duration,
    "DURATION",
    "30s",
    "in ipvs mode, a sync that failed is tried again after this, and flushes are looked for",
  ),
  "ipvs-min-sync-period": flag(
    value.duration,
    "DURATION",
    "0s",
    "least time from one sync to the next in ipvs mode",
  ),
  "ipvs-exclude-cidrs": listFlag(
    value.networks,
    "NETWORK",
    "",
    "networks whose virtual servers are never removed, whoever made them",
  ),
  "ipvs-strict-arp": booleanFlag(
    false,
    "ARP is answered and announced for the link's own addresses only (arp_ignore 1, arp_announce 2)",
  ),
  "ipvs-tcp-timeout": flag(
    value.duration,
    "DURATION",
    "0s",
    "idle TCP connections of ipvs mode; 0s: as the kernel has it",
  ),
  "ipvs-tcpfin-timeout": flag(
    value.duration,
    "DURATION",
    "0s",
    "TCP connections of ipvs mode after a FIN; 0s: as the kernel has it",
  ),
  "ipvs-udp-timeout": flag(
    value.duration,
    "DURATION",
    "0s",
    "idle UDP flows of ipvs mode; 0s: as the kernel has it",
  ),
  "conntrack-max-per-core": flag(
    value.integer(0, 2 ** 31 - 1),
    "N",
    "32768",
    "connections that the kernel tracks for each CPU, in the kernel's modes; 0: as it is",
  ),
  "conntrack-min": flag(
    value.integer(0, 2 ** 31 - 1),
    "N",
    "131072",
    "connections that the kernel tracks at least, unless --conntrack-max-per-core is 0",
  ),
  "conntrack-tcp-timeout-established": flag(
    value.duration,
    "DURATION",
    "24h",
    "how long the kernel tracks idle TCP connections; 0: as it is",
  ),
  "conntrack-tcp-timeout-close-wait": flag(
    value.duration,
    "DURATION",
    "1h",
    "how long the kernel tracks TCP connections in CLOSE_WAIT; 0: as it is",
  ),
  "conntrack-tcp-be-liberal": booleanFlag(
    false,
    "have the kernel track TCP packets out of window too",
  ),
  "conntrack-udp-timeout": flag(
    value.duration,
    "DURATION",
    "0s",
    "how long the kernel tracks UDP flows without an answer; 0: as it is",
  ),
  "conntrack-udp-timeout-stream": flag(
    value.duration,
    "DURATION",
    "0s",
    "how long the kernel tracks UDP flows with answers; 0: as it is",
  ),
  "oom-score-adj": flag(
    value.integer(-1000, 1000),
    "N",
    "-999",
    "how much sooner or later than others this process is ended when memory runs out",
  ),
  "profiling": booleanFlag(
    false,
    "/debug/pprof/profile?seconds=N, a CPU profile of V8, and PUT /debug/flags/v on the metrics address",
  ),
  "show-hidden-metrics-for-version": flag(
    value.text,
    "VERSION",
    "",
    "show metrics that this version hid",
    withoutEffect("no metric is hidden"),
  ),
  "vmodule": listFlag(
    value.verbosityByPattern,
    "PATTERN=N",
    "",
    "-v for parts of the program, as the log names them: agent=5,kubernetes=4; in text format only",
    every,
  ),
  "log-flush-frequency": flag(
    value.duration,
    "DURATION",
    "5s",
    "longest time that log lines are held back",
    withoutEffect("log lines are not held back"),
  ),
  "log-json-info-buffer-size": flag(value.text, "SIZE", "0", "buffer of log lines", {
    ...withoutEffect("log lines are not held back"),
  }),
  "log-json-split-stream": booleanFlag(
    false,
    "split the log",
    withoutEffect("the log goes to standard error"),
  ),
  "log-text-info-buffer-size": flag(value.text, "SIZE", "0", "buffer of log lines", {
    ...withoutEffect("log lines are not held back"),
  }),
  "log-text-split-stream": booleanFlag(
    false,
    "split the log",
    withoutEffect("the log goes to standard error"),
  ),
  "healthz-port": flag(
    value.integer(0, 65_535),
    "PORT",
    "10256",
    "0: health is not served; use --healthz-bind-address instead",
  ),
  "metrics-port": flag(
    value.integer(0, 65_535),
    "PORT",
    "10249",
    "0: metrics are not served; use --metrics-bind-address instead",
  ),
  "boot-id-file": flag(value.text, "FILE", "", "no effect", deprecated),
  "machine-id-file": flag(value.text, "FILE", "", "no effect", deprecated),
  "proxy-port-range": flag(value.text, "RANGE", "", "no effect", deprecated),
  "cleanup-ipvs": booleanFlag(true, "no effect", deprecated),
} satisfies Record<string, FlagSpec>;

/** Names of all flags. */
export type FlagName = keyof typeof FLAGS;

/** The values of all flags; undefined for those that are unset and have no default. */
export type FlagValues = {
  readonly [Name in FlagName]: z.output<(typeof FLAGS)[Name]["schema"]> | undefined;
};
