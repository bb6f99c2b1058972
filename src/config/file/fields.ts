/**
 * Every field of KubeProxyConfiguration, apiVersion kubeproxy.config.k8s.io/v1alpha1: its path, its
 * kind, and the flag that says the same.
 *
 * Source: k8s.io/kube-proxy/config/v1alpha1 of Kubernetes 1.20 to 1.37; defaults and what must hold
 * from pkg/proxy/apis/config.
 *
 * @module
 */

import type { FlagName } from "../flag_table.ts";
import * as kind from "./kinds.ts";

/** One field. */
export interface Field {
  /** "iptables.masqueradeBit" */
  readonly path: string;
  readonly kind: kind.Kind;
  /** The flag whose value it is; null: it has no effect here, {@link why}. */
  readonly flag: FlagName | null;
  /** Whether zero ("", 0, "0s") stands for the default, as null does. */
  readonly zeroIsUnset: boolean;
  /** What kube-proxy says of a value that cannot be; absent: what the flag says. */
  readonly must?: string;
  /** Read in these proxy modes only ("" is none by name); absent: in all. */
  readonly modes?: readonly string[];
  /** What stands for the flag's value when that is unset; absent: the kind's zero. */
  readonly unset?: string;
  /** Left out of a file that is written when it has no value. */
  readonly omitEmpty?: boolean;
  readonly why?: string;
}

type Extra = Partial<Omit<Field, "path" | "kind" | "flag">>;

function field(path: string, kind: kind.Kind, flag: FlagName, extra: Extra = {}): Field {
  return { path, kind, flag, zeroIsUnset: false, ...extra };
}

/** A field that has no effect. */
function idle(path: string, why: string, of: kind.Kind = kind.anything): Field {
  return { path, kind: of, flag: null, zeroIsUnset: false, omitEmpty: of === kind.anything, why };
}

const omitEmpty = { omitEmpty: true } as const;
const zeroIsUnset = { zeroIsUnset: true } as const;
const notNegative = { must: "must be greater than or equal to 0" } as const;
const positive = { must: "must be greater than 0" } as const;

/** What the modes besides ipvs and nftables read. */
const IPTABLES = { modes: ["", "iptables", "userspace"] } as const;
const IPVS = { modes: ["ipvs"] } as const;
const NFTABLES = { modes: ["nftables"] } as const;
/** The modes of kube-proxy on Linux in which --masquerade-all is the iptables section's. */
const NOT_NFTABLES = { modes: ["", "iptables", "userspace", "ipvs"] } as const;

const WINDOWS = "it is for Windows";
const OLD = "kube-proxy has no such field any more";

export const FIELDS: readonly Field[] = [
  field("featureGates", kind.switches, "feature-gates", omitEmpty),

  field("clientConnection.kubeconfig", kind.text, "kubeconfig"),
  idle("clientConnection.acceptContentTypes", "requests are in JSON", kind.text),
  field("clientConnection.contentType", kind.text, "kube-api-content-type", zeroIsUnset),
  field("clientConnection.qps", kind.number, "kube-api-qps", zeroIsUnset),
  field("clientConnection.burst", kind.integer, "kube-api-burst", {
    ...zeroIsUnset,
    ...notNegative,
  }),

  field("logging.format", kind.text, "logging-format", {
    ...zeroIsUnset,
    must: "Unsupported log format",
  }),
  field("logging.flushFrequency", kind.durationOrNanoseconds, "log-flush-frequency", zeroIsUnset),
  field("logging.verbosity", kind.integer, "v"),
  field("logging.vmodule", kind.verbosityByPattern, "vmodule", omitEmpty),
  idle("logging.options", "log lines go to standard error at once"),

  field("hostnameOverride", kind.text, "hostname-override"),
  field("bindAddress", kind.text, "bind-address", {
    ...zeroIsUnset,
    unset: "0.0.0.0",
    must: "not a valid textual representation of an IP address",
  }),
  field("healthzBindAddress", kind.listenAddress, "healthz-bind-address", {
    ...zeroIsUnset,
    must: "must be IP:port",
  }),
  field("metricsBindAddress", kind.listenAddress, "metrics-bind-address", {
    ...zeroIsUnset,
    must: "must be IP:port",
  }),
  field("bindAddressHardFail", kind.boolean, "bind-address-hard-fail"),
  field("enableProfiling", kind.boolean, "profiling"),
  field("showHiddenMetricsForVersion", kind.text, "show-hidden-metrics-for-version"),

  field("mode", kind.text, "proxy-mode", {
    ...zeroIsUnset,
    must: "must be iptables, ipvs, nftables, userspace or blank (blank means the best that works)",
  }),

  field("iptables.masqueradeBit", kind.integer, "iptables-masquerade-bit", {
    ...NOT_NFTABLES,
    must: "must be within the range [0, 31]",
  }),
  field("iptables.masqueradeAll", kind.boolean, "masquerade-all", NOT_NFTABLES),
  field("iptables.localhostNodePorts", kind.boolean, "iptables-localhost-nodeports"),
  idle("iptables.snatNodeInternalIP", "masquerading takes the address of the way out"),
  field("iptables.syncPeriod", kind.duration, "iptables-sync-period", {
    ...zeroIsUnset,
    ...IPTABLES,
    ...positive,
  }),
  field("iptables.minSyncPeriod", kind.duration, "iptables-min-sync-period", {
    ...zeroIsUnset,
    ...IPTABLES,
    ...notNegative,
  }),

  field("ipvs.syncPeriod", kind.duration, "ipvs-sync-period", {
    ...zeroIsUnset,
    ...IPVS,
    ...positive,
  }),
  field("ipvs.minSyncPeriod", kind.duration, "ipvs-min-sync-period", { ...IPVS, ...notNegative }),
  field("ipvs.scheduler", kind.text, "ipvs-scheduler", {
    ...zeroIsUnset,
    modes: ["", "ipvs", "userspace"],
  }),
  field("ipvs.excludeCIDRs", kind.list, "ipvs-exclude-cidrs", {
    ...IPVS,
    must: "must be valid CIDRs",
  }),
  field("ipvs.strictARP", kind.boolean, "ipvs-strict-arp", IPVS),
  field("ipvs.tcpTimeout", kind.duration, "ipvs-tcp-timeout", { ...IPVS, ...notNegative }),
  field("ipvs.tcpFinTimeout", kind.duration, "ipvs-tcpfin-timeout", { ...IPVS, ...notNegative }),
  field("ipvs.udpTimeout", kind.duration, "ipvs-udp-timeout", { ...IPVS, ...notNegative }),

  field("nftables.masqueradeBit", kind.integer, "iptables-masquerade-bit", {
    ...NFTABLES,
    must: "must be within the range [0, 31]",
  }),
  field("nftables.masqueradeAll", kind.boolean, "masquerade-all", NFTABLES),
  field("nftables.syncPeriod", kind.duration, "iptables-sync-period", {
    ...zeroIsUnset,
    ...NFTABLES,
    ...positive,
  }),
  field("nftables.minSyncPeriod", kind.duration, "iptables-min-sync-period", {
    ...zeroIsUnset,
    ...NFTABLES,
    ...notNegative,
  }),

  field("detectLocalMode", kind.text, "detect-local-mode", {
    ...zeroIsUnset,
    must: "must be ClusterCIDR, NodeCIDR, BridgeInterface or InterfaceNamePrefix",
  }),
  field("detectLocal.bridgeInterface", kind.text, "pod-bridge-interface"),
  field("detectLocal.interfaceNamePrefix", kind.text, "pod-interface-name-prefix"),
  field("clusterCIDR", kind.commaList, "cluster-cidr", {
    must: "must be a CIDR or a dual-stack pair of CIDRs (e.g. 10.100.0.0/16,fde4:8dba:82e1::/48)",
  }),
  field("nodePortAddresses", kind.list, "nodeport-addresses", {
    must: "must be valid CIDRs, or only the word 'primary'",
  }),

  field("oomScoreAdj", kind.integer, "oom-score-adj", {
    must: "must be within the range [-1000, 1000]",
  }),
  field("conntrack.maxPerCore", kind.integer, "conntrack-max-per-core", notNegative),
  field("conntrack.min", kind.integer, "conntrack-min", notNegative),
  field(
    "conntrack.tcpEstablishedTimeout",
    kind.duration,
    "conntrack-tcp-timeout-established",
    notNegative,
  ),
  field(
    "conntrack.tcpCloseWaitTimeout",
    kind.duration,
    "conntrack-tcp-timeout-close-wait",
    notNegative,
  ),
  field("conntrack.tcpBeLiberal", kind.boolean, "conntrack-tcp-be-liberal"),
  field("conntrack.udpTimeout", kind.duration, "conntrack-udp-timeout", notNegative),
  field("conntrack.udpStreamTimeout", kind.duration, "conntrack-udp-timeout-stream", notNegative),
  field("configSyncPeriod", kind.duration, "config-sync-period", { ...zeroIsUnset, ...positive }),

  idle("winkernel.networkName", WINDOWS, kind.text),
  idle("winkernel.sourceVip", WINDOWS, kind.text),
  idle("winkernel.enableDSR", WINDOWS, kind.boolean),
  idle("winkernel.rootHnsEndpointName", WINDOWS, kind.text),
  idle("winkernel.forwardHealthCheckVip", WINDOWS, kind.boolean),
  idle("windowsRunAsService", WINDOWS),

  idle("portRange", "kube-proxy does not read it either", kind.text),
  idle("udpIdleTimeout", OLD),
  idle("resourceContainer", OLD),
  idle("conntrack.max", OLD),
];
