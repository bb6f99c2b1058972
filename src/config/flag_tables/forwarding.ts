/**
 * Flags that say what is forwarded, and how.
 *
 * @module
 */

import { booleanFlag, flag, type FlagSpec, listFlag, planning } from "../flag_spec.ts";
import * as value from "../values.ts";

/** What `--proxy-mode` may be. */
export const PROXY_MODES = ["iptables", "ipvs", "nftables", "userspace"] as const;

/** What `--iptables-chain-naming` may be. */
export const CHAIN_NAMINGS = ["documented", "current"] as const;

export const FORWARDING_FLAGS = {
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
    `how packets are forwarded: ${PROXY_MODES.join(", ")}; ` +
      "unset: for run and lab the best that works here, else as said above",
    { ...planning, emptyIsUnset: true },
  ),
  "hostname-override": flag(
    value.nodeName,
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
      "iptables and nftables mode, by BridgeInterface or InterfaceNamePrefix",
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
    'networks whose addresses of this node answer node ports, or "primary"; unset: all, in nftables ' +
      "mode the primary ones",
    planning,
  ),
  "masquerade-all": booleanFlag(false, "masquerade all traffic to cluster IPs", planning),
  "iptables-masquerade-bit": flag(
    value.integer(0, 31),
    "BIT",
    "14",
    "bit of the packet mark that asks for masquerading, in iptables and nftables mode",
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
    "in iptables and nftables mode, a sync that failed is tried again after this, and flushes are " +
      "looked for",
  ),
  "iptables-min-sync-period": flag(
    value.duration,
    "DURATION",
    "1s",
    "least time from one sync to the next in iptables and nftables mode",
  ),
  "proxy-mode-strict": booleanFlag(
    false,
    "ipvs mode that does not work here is an error, as other modes are; else the next best is taken",
  ),
  "api-unix-socket": flag(
    value.nonEmpty("the path of a socket"),
    "PATH",
    null,
    "a Unix socket where the rule-query API answers too, without a token, to its owner and group",
  ),
  "bind-address": flag(
    value.address,
    "ADDRESS",
    null,
    "overrides the node's primary address, unless it is 0.0.0.0 or ::",
    { ...planning, emptyIsUnset: true },
  ),
} satisfies Record<string, FlagSpec>;
