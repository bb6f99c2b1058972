/**
 * What the planner and the data planes are told of the configuration.
 *
 * @module
 */

import type { Config } from "../config/config.ts";
import type { ProxyMode } from "../dataplane/dataplane.ts";
import {
  DEFAULT_RULE_OPTIONS,
  type LocalDetection,
  type RuleOptions,
} from "../dataplane/iptables/options.ts";
import type { IpvsOptions } from "../dataplane/ipvs/options.ts";
import {
  DEFAULT_NFTABLES_OPTIONS,
  type NftablesRuleOptions,
} from "../dataplane/nftables/options.ts";
import type { PlannerConfig } from "../plan/node.ts";
import { type Choice, SCHEDULER_NAMES, usualChoice } from "../plan/scheduling.ts";

/** The modes with schedulers; in the others the kernel chooses at random. */
const SCHEDULED: readonly ProxyMode[] = ["ipvs", "userspace"];

/** What the rules of each mode are rendered by. */
export interface RenderingOptions {
  readonly ruleOptions: RuleOptions;
  readonly ipvsOptions: IpvsOptions;
  readonly nftablesOptions: NftablesRuleOptions;
}

/** The options of all modes. */
export function renderingOptions(config: Config): RenderingOptions {
  return {
    ruleOptions: ruleOptions(config),
    ipvsOptions: ipvsOptions(config),
    nftablesOptions: nftablesOptions(config),
  };
}

/** The planner's part of the configuration. */
export function plannerConfig(
  config: Config,
  mode: ProxyMode,
  localAddresses: readonly string[],
): PlannerConfig {
  return {
    nodeName: config.nodeName,
    nodeAddresses: config.nodeIPs,
    ...(config.bindAddress === null ? {} : { primaryAddress: config.bindAddress }),
    clusterCIDRs: config.clusterCIDRs,
    detectLocalMode: config.detectLocalMode,
    masqueradeAll: config.masqueradeAll,
    nodePortAddresses: nodePortAddresses(config, mode),
    families: config.families,
    ...schedulingOptions(config, mode),
    localAddresses: config.nodeIPs.length > 0 ? [] : localAddresses,
  };
}

/** Where node ports answer in a mode, which may be another than the configuration names. */
function nodePortAddresses(config: Config, mode: ProxyMode): readonly string[] {
  return mode === "nftables" && config.nodePortAddresses.length === 0
    ? DEFAULT_NFTABLES_OPTIONS.nodePortAddresses
    : config.nodePortAddresses;
}

type SchedulingOptions = Pick<
  PlannerConfig,
  "scheduler" | "schedulerFlags" | "selectableSchedulers"
>;

function schedulingOptions(config: Config, mode: ProxyMode): SchedulingOptions {
  if (!SCHEDULED.includes(mode)) return { scheduler: "random" };
  const { scheduler, flags } = defaultChoice(config);
  const selectableSchedulers = mode === "ipvs"
    ? SCHEDULER_NAMES.filter((name) => name !== "random")
    : SCHEDULER_NAMES;
  return { scheduler, schedulerFlags: flags, selectableSchedulers };
}

/** How backends are chosen unless a Service says otherwise. */
function defaultChoice(config: Config): Choice {
  const usual = usualChoice(config.scheduler ?? "rr");
  return config.schedulerFlags.length === 0 ? usual : { ...usual, flags: config.schedulerFlags };
}

/** What ipvs mode renders from; what only a node can answer is as on a current one. */
export function ipvsOptions(config: Config): IpvsOptions {
  const { scheduler, flags } = defaultChoice(config);
  return {
    rules: ruleOptions(config),
    masqueradeAll: config.masqueradeAll,
    scheduling: scheduler === "random" ? usualScheduling : { scheduler, flags },
    missingSchedulers: new Set(),
    otherAddresses: new Set(),
    refusedReals: new Set(),
  };
}

const usualScheduling = { scheduler: "rr", flags: [] } as const;

/** The options of rules in iptables mode; what only a node can answer is as on a current one. */
export function ruleOptions(config: Config): RuleOptions {
  const { masqueradeBit, localhostNodePorts, nodePortAddresses, chainNaming } = config;
  return {
    ...DEFAULT_RULE_OPTIONS,
    masqueradeBit,
    localhostNodePorts,
    nodePortAddresses,
    chainNaming,
    localDetection: localDetection(config),
  };
}

/** The options of rules in nftables mode. */
export function nftablesOptions(config: Config): NftablesRuleOptions {
  return {
    masqueradeBit: config.masqueradeBit,
    nodePortAddresses: nodePortAddresses(config, "nftables"),
    localDetection: localDetection(config),
  };
}

function localDetection(config: Config): LocalDetection {
  switch (config.detectLocalMode) {
    case "ClusterCIDR":
    case "NodeCIDR":
      return { by: "network" };
    case "BridgeInterface":
      return { by: "bridge", name: config.podBridgeInterface };
    case "InterfaceNamePrefix":
      return { by: "interface-prefix", prefix: config.podInterfaceNamePrefix };
  }
}
