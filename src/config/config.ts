/**
 * The configuration of the agent, from its flags.
 *
 * @module
 */

import type { ProxyMode } from "../dataplane/dataplane.ts";
import type { Family } from "../net/address.ts";
import type { SchedulerName } from "../plan/plan.ts";
import { type FlagCommand, type FlagName, FLAGS, type FlagSpec } from "./flag_table.ts";
import { type ParsedArguments, parseFlags } from "./flags.ts";
import { UsageError } from "./usage.ts";
import { isLoopback, type SocketAddress } from "./values.ts";

/** How often the node may and must be synced, milliseconds. */
export interface SyncPeriods {
  /** Least time from the end of one sync to the start of the next. */
  readonly minMs: number;
  /** A sync that failed is tried again after this time; health waits twice as long. */
  readonly periodMs: number;
}

/** Everything that the agent can be told. */
export interface Config {
  /** Null: the best mode that works here. */
  readonly proxyMode: ProxyMode | null;
  /** A file, a folder, or "-" for standard input; null: no manifests were named. */
  readonly manifests: string | null;
  /** Files and addresses as kube-proxy takes them; "": not given. */
  readonly kubeconfig: string;
  readonly master: string;
  readonly nodeName: string;
  /** Canonical, the primary one of each family first; empty: to be found. */
  readonly nodeIPs: readonly string[];
  readonly clusterCIDRs: readonly string[];
  readonly detectLocalMode: "ClusterCIDR" | "NodeCIDR" | "BridgeInterface" | "InterfaceNamePrefix";
  /** Given when {@link detectLocalMode} needs it. */
  readonly podBridgeInterface: string;
  readonly podInterfaceNamePrefix: string;
  readonly families: readonly Family[];
  readonly serviceClusterIPRanges: readonly string[];
  /** Networks, or the single word "primary"; empty: all addresses of the node. */
  readonly nodePortAddresses: readonly string[];
  readonly masqueradeAll: boolean;
  /** The bit of the packet mark that asks for masquerading, 0–31. */
  readonly masqueradeBit: number;
  readonly localhostNodePorts: boolean;
  /** Null: what the mode does when nothing is asked for. */
  readonly scheduler: SchedulerName | null;
  /** Null: not served. */
  readonly healthzBindAddress: SocketAddress | null;
  readonly metricsBindAddress: SocketAddress | null;
  readonly apiBindAddress: SocketAddress | null;
  readonly apiTokenFile: string | null;
  readonly bindAddressHardFail: boolean;
  readonly iptablesSync: SyncPeriods;
  readonly ipvsSync: SyncPeriods;
  /** Only clean up. */
  readonly cleanup: boolean;
  readonly output: "text" | "json";
  readonly logging: { readonly format: "text" | "json"; readonly verbosity: number };
  /** Flags that were given and have no effect yet, as typed: "--oom-score-adj". */
  readonly withoutEffect: readonly string[];
}

/** What `explain` is asked about, and by which rules: file names, "-" for standard input. */
export interface ExplainInput {
  readonly flows: string | null;
  readonly iptablesSave: string | null;
  readonly ipsetSave: string | null;
}

/** A command's configuration and what else was on its line. */
export interface CommandLine {
  readonly config: Config;
  readonly explain: ExplainInput;
  readonly positionals: readonly string[];
  readonly rest: readonly string[] | null;
  readonly asked: ParsedArguments["asked"];
  /** The flags that were typed, whatever their value. */
  readonly given: ParsedArguments["given"];
}

/**
 * The configuration from a command's arguments.
 *
 * @param hostname asked only when `--hostname-override` is not given.
 * @throws {UsageError} naming the flag, its value and what was expected.
 */
export function parseCommandLine(
  args: readonly string[],
  command: FlagCommand,
  hostname: () => string,
): CommandLine {
  const parsed = parseFlags(args, command);
  if (parsed.asked === null) refuse(parsed);
  const { values, positionals, rest, asked, given } = parsed;
  const explain = {
    flows: values.flows ?? null,
    iptablesSave: values["iptables-save"] ?? null,
    ipsetSave: values["ipset-save"] ?? null,
  };
  return { config: configOf(parsed, hostname), explain, positionals, rest, asked, given };
}

function refuse(parsed: ParsedArguments): void {
  for (const name of parsed.given) {
    const spec: FlagSpec = FLAGS[name];
    const value = parsed.values[name];
    if (spec.support !== "refused" || value === false || value === "") continue;
    const shown = spec.kind === "boolean" ? "" : ` ${JSON.stringify(value)}`;
    throw new UsageError(`--${name}${shown}: ${spec.refusal}`);
  }
}

function configOf(parsed: ParsedArguments, hostname: () => string): Config {
  const values = parsed.values;
  const config: Config = {
    proxyMode: values["proxy-mode"] ?? null,
    manifests: values.manifests ?? null,
    kubeconfig: values.kubeconfig ?? "",
    master: values.master ?? "",
    nodeName: nodeName(values["hostname-override"]!, hostname),
    nodeIPs: nodeIPs(values["node-ip"]!, values["bind-address"]),
    clusterCIDRs: values["cluster-cidr"]!,
    detectLocalMode: detectLocalMode(parsed),
    podBridgeInterface: values["pod-bridge-interface"]!,
    podInterfaceNamePrefix: values["pod-interface-name-prefix"]!,
    families: familiesOf(values["ip-family"]!),
    serviceClusterIPRanges: values["service-cluster-ip-range"]!,
    nodePortAddresses: values["nodeport-addresses"]!,
    masqueradeAll: values["masquerade-all"]!,
    masqueradeBit: values["iptables-masquerade-bit"]!,
    localhostNodePorts: values["iptables-localhost-nodeports"]!,
    scheduler: values["ipvs-scheduler"] ?? null,
    healthzBindAddress: values["healthz-bind-address"]!,
    metricsBindAddress: values["metrics-bind-address"]!,
    apiBindAddress: values["api-bind-address"]!,
    apiTokenFile: values["api-token-file"] ?? null,
    bindAddressHardFail: values["bind-address-hard-fail"]!,
    iptablesSync: periods(parsed, "iptables-min-sync-period", "iptables-sync-period"),
    ipvsSync: periods(parsed, "ipvs-min-sync-period", "ipvs-sync-period"),
    cleanup: values.cleanup!,
    output: values.output!,
    logging: { format: values["logging-format"]!, verbosity: values.v! },
    withoutEffect: [...parsed.given]
      .filter((name) => ["not-yet", "deprecated"].includes(FLAGS[name].support))
      .map((name) => `--${name}`),
  };
  checkApiToken(config);
  return config;
}

function familiesOf(value: "ipv4" | "ipv6" | "dual"): readonly Family[] {
  if (value === "dual") return ["IPv4", "IPv6"];
  return value === "ipv4" ? ["IPv4"] : ["IPv6"];
}

/** The modes that need another flag. */
const INTERFACE_FLAGS = {
  BridgeInterface: "pod-bridge-interface",
  InterfaceNamePrefix: "pod-interface-name-prefix",
} as const;

function detectLocalMode({ asked, values }: ParsedArguments): Config["detectLocalMode"] {
  const mode = values["detect-local-mode"]!;
  if (mode === "ClusterCIDR" || mode === "NodeCIDR") return mode;
  const flag = INTERFACE_FLAGS[mode];
  if (values[flag] !== "" || asked !== null) return mode;
  throw new UsageError(`--detect-local-mode "${mode}": expected --${flag} too`);
}

/** As in kube-proxy, trimmed and in lower case. */
function nodeName(override: string, hostname: () => string): string {
  const given = override.trim().toLowerCase();
  if (given !== "") return given;
  if (override !== "") {
    throw new UsageError(
      `--hostname-override ${JSON.stringify(override)}: expected the name of a node`,
    );
  }
  return hostname().trim().toLowerCase();
}

/** A bind address that is not the unspecified one stands for the node's primary address. */
function nodeIPs(given: readonly string[], bindAddress: string | undefined): readonly string[] {
  if (bindAddress === undefined || bindAddress === "0.0.0.0" || bindAddress === "::") return given;
  return [bindAddress, ...given.filter((address) => address !== bindAddress)];
}

function periods(
  parsed: ParsedArguments,
  minFlag: "iptables-min-sync-period" | "ipvs-min-sync-period",
  periodFlag: "iptables-sync-period" | "ipvs-sync-period",
): SyncPeriods {
  const minMs = parsed.values[minFlag]!;
  const periodMs = parsed.values[periodFlag]!;
  const shown = (name: FlagName, ms: number) => `--${name} "${ms / 1000}s"`;
  if (periodMs <= 0) {
    throw new UsageError(`${shown(periodFlag, periodMs)}: expected more than 0`);
  }
  if (minMs > periodMs) {
    throw new UsageError(
      `${shown(minFlag, minMs)}: expected at most --${periodFlag}, which is ${periodMs / 1000}s`,
    );
  }
  return { minMs, periodMs };
}

function checkApiToken(config: Config): void {
  const address = config.apiBindAddress;
  if (address === null || isLoopback(address.host) || config.apiTokenFile !== null) return;
  throw new UsageError(
    `--api-bind-address "${address.host}": expected --api-token-file too, ` +
      "because the address is not a loopback address",
  );
}
