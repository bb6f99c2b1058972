/**
 * The configuration of the agent, from its flags.
 *
 * @module
 */

import type { ProxyMode } from "../dataplane/dataplane.ts";
import type { Family } from "../net/address.ts";
import type { SchedulerFlagName, SchedulerName } from "../plan/plan.ts";
import { encodeConfiguration, type Wire } from "./file/encode.ts";
import type { FlagCommand } from "./flag_table.ts";
import { type ParsedArguments, parseFlags } from "./flags.ts";
import {
  type ConntrackLimits,
  conntrackLimits,
  detectLocalMode,
  type IpvsConfig,
  ipvsConfig,
  type LocalDetectionMode,
  type LoggingConfig,
  loggingConfig,
  periods,
  schedulerFlags,
  type SyncPeriods,
} from "./parts.ts";
import { type Settings, settle } from "./settings.ts";
import { UsageError } from "./usage.ts";
import { isLoopback, type SocketAddress } from "./values.ts";

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
  /** Stands for the node's primary address of its family, whatever its others; null: none does. */
  readonly bindAddress: string | null;
  readonly clusterCIDRs: readonly string[];
  readonly detectLocalMode: LocalDetectionMode;
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
  /** How chains of ports without a name are named in iptables mode. */
  readonly chainNaming: "documented" | "current";
  /** Null: what the mode does when nothing is asked for. */
  readonly scheduler: SchedulerName | null;
  /** What that scheduler is told. */
  readonly schedulerFlags: readonly SchedulerFlagName[];
  /** No other mode is taken when {@link proxyMode} does not work. */
  readonly strictMode: boolean;
  readonly ipvs: IpvsConfig;
  /** Null: not served. */
  readonly healthzBindAddress: SocketAddress | null;
  readonly metricsBindAddress: SocketAddress | null;
  readonly apiBindAddress: SocketAddress | null;
  /** Path of a socket where the API answers too; null: nowhere. */
  readonly apiUnixSocket: string | null;
  readonly apiTokenFile: string | null;
  /** Where what is to survive a restart is kept; null: nowhere. */
  readonly stateDir: string | null;
  readonly bindAddressHardFail: boolean;
  readonly iptablesSync: SyncPeriods;
  readonly ipvsSync: SyncPeriods;
  readonly conntrack: ConntrackLimits;
  /** −1000 to 1000: proc_pid_oom_score_adj(5). */
  readonly oomScoreAdj: number;
  readonly profiling: boolean;
  /** Kubernetes feature gates that were switched. */
  readonly featureGates: ReadonlyMap<string, boolean>;
  /** Only clean up. */
  readonly cleanup: boolean;
  /** Only set what needs full privileges. */
  readonly initOnly: boolean;
  /** Only write {@link configuration} to this file; null: not asked for. */
  readonly writeConfigTo: string | null;
  readonly output: "text" | "json";
  readonly logging: LoggingConfig;
  /** The file that the configuration came from; null: from flags alone. */
  readonly configFile: string | null;
  /** What was given and has no effect: "--kube-api-qps", "clientConnection.qps". */
  readonly withoutEffect: readonly string[];
  /** Flags that were given and don't count, because there is a configuration file: "--proxy-mode". */
  readonly ignored: readonly string[];
  /** All flags as they were typed or are by default, by name. */
  readonly flags: ReadonlyMap<string, string>;
  /** KubeProxyConfiguration v1alpha1 that says the same. */
  readonly configuration: Wire;
}

/** What `explain` is asked about, and by which rules: file names, "-" for standard input. */
export interface ExplainInput {
  readonly flows: string | null;
  readonly iptablesSave: string | null;
  readonly ipsetSave: string | null;
  readonly ipvsadmSave: string | null;
  readonly nftList: string | null;
}

/** What commands ask besides what the configuration says. */
export interface AskInput {
  /** The URL of a running agent's API; null: it is answered from files. */
  readonly server: URL | null;
  /** An entry of the history; null: the plan of now. */
  readonly asOf: number | null;
  /** Which rules a running agent is asked; null: as it chooses. */
  readonly rules: "synced" | "node" | null;
  /** Manifests of objects as they would be, and names of those that would be gone. */
  readonly apply: readonly string[];
  readonly delete: readonly string[];
  readonly verify: boolean;
  readonly thisNode: boolean;
  readonly limit: number;
  readonly seed: number;
}

/** A command's configuration and what else was on its line. */
export interface CommandLine {
  readonly config: Config;
  readonly explain: ExplainInput;
  readonly ask: AskInput;
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
 * @param readFile the text of a configuration file.
 * @throws {UsageError} naming the flag or the file and the field, the value and what was expected.
 */
export function parseCommandLine(
  args: readonly string[],
  command: FlagCommand,
  hostname: () => string,
  readFile: (path: string) => string = Deno.readTextFileSync,
): CommandLine {
  const parsed = parseFlags(args, command);
  const { positionals, rest, asked, given } = parsed;
  const settings = settle(parsed, readFile);
  const { values } = settings;
  const explain = {
    flows: values.flows ?? null,
    iptablesSave: values["iptables-save"] ?? null,
    ipsetSave: values["ipset-save"] ?? null,
    ipvsadmSave: values["ipvsadm-save"] ?? null,
    nftList: values["nft-list"] ?? null,
  };
  const ask = {
    server: values.server ?? null,
    asOf: values["as-of"] ?? null,
    rules: values.rules ?? null,
    apply: values.apply!,
    delete: values.delete!,
    verify: values.verify!,
    thisNode: values["this-node"]!,
    limit: values.limit!,
    seed: values.seed!,
  };
  const config = configOf(settings, asked, hostname);
  return { config, explain, ask, positionals, rest, asked, given };
}

function configOf(
  settings: Settings,
  asked: ParsedArguments["asked"],
  hostname: () => string,
): Config {
  const { values } = settings;
  const config: Config = {
    proxyMode: values["proxy-mode"] ?? null,
    manifests: values.manifests ?? null,
    kubeconfig: values.kubeconfig ?? "",
    master: values.master ?? "",
    nodeName: nodeName(values["hostname-override"]!, hostname),
    nodeIPs: values["node-ip"]!,
    bindAddress: bindAddress(values["bind-address"]),
    clusterCIDRs: values["cluster-cidr"]!,
    detectLocalMode: detectLocalMode(values, asked !== null),
    podBridgeInterface: values["pod-bridge-interface"]!,
    podInterfaceNamePrefix: values["pod-interface-name-prefix"]!,
    families: familiesOf(values["ip-family"]!),
    serviceClusterIPRanges: values["service-cluster-ip-range"]!,
    nodePortAddresses: values["nodeport-addresses"]!,
    masqueradeAll: values["masquerade-all"]!,
    masqueradeBit: values["iptables-masquerade-bit"]!,
    localhostNodePorts: values["iptables-localhost-nodeports"]!,
    chainNaming: values["iptables-chain-naming"]!,
    scheduler: values["ipvs-scheduler"] ?? null,
    schedulerFlags: schedulerFlags(values),
    strictMode: values["proxy-mode-strict"]!,
    ipvs: ipvsConfig(values),
    healthzBindAddress: values["healthz-bind-address"]!,
    metricsBindAddress: values["metrics-bind-address"]!,
    apiBindAddress: values["api-bind-address"]!,
    apiUnixSocket: values["api-unix-socket"] ?? null,
    apiTokenFile: values["api-token-file"] ?? null,
    stateDir: values["state-dir"] ?? null,
    bindAddressHardFail: values["bind-address-hard-fail"]!,
    iptablesSync: periods(values, "iptables-min-sync-period", "iptables-sync-period"),
    ipvsSync: periods(values, "ipvs-min-sync-period", "ipvs-sync-period"),
    conntrack: conntrackLimits(values),
    oomScoreAdj: values["oom-score-adj"]!,
    profiling: values.profiling!,
    featureGates: values["feature-gates"]!,
    cleanup: values.cleanup!,
    initOnly: values["init-only"]!,
    writeConfigTo: values["write-config-to"] ?? null,
    output: values.output!,
    logging: loggingConfig(values),
    configFile: values.config ?? null,
    withoutEffect: settings.withoutEffect,
    ignored: settings.ignored,
    flags: settings.flags,
    configuration: encodeConfiguration(values, settings.idle),
  };
  checkApiToken(config);
  return config;
}

function familiesOf(value: "ipv4" | "ipv6" | "dual"): readonly Family[] {
  if (value === "dual") return ["IPv4", "IPv6"];
  return value === "ipv4" ? ["IPv4"] : ["IPv6"];
}

/** As in kube-proxy, trimmed and in lower case. */
function nodeName(override: string, hostname: () => string): string {
  return override === "" ? hostname().trim().toLowerCase() : override;
}

/** The unspecified address is no address of a node. */
function bindAddress(given: string | undefined): string | null {
  return given === undefined || given === "0.0.0.0" || given === "::" ? null : given;
}

/** The node's addresses as far as they are given, the primary one of each family first. */
export function givenAddresses(
  { bindAddress, nodeIPs }: Pick<Config, "bindAddress" | "nodeIPs">,
): readonly string[] {
  return bindAddress === null ? nodeIPs : [...new Set([bindAddress, ...nodeIPs])];
}

function checkApiToken(config: Config): void {
  const address = config.apiBindAddress;
  if (address === null || isLoopback(address.host) || config.apiTokenFile !== null) return;
  throw new UsageError(
    `--api-bind-address "${address.host}": expected --api-token-file too, ` +
      "because the address is not a loopback address",
  );
}
