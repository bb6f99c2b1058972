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
import type { PlannerConfig } from "../plan/node.ts";

/** The modes with schedulers; in the others the kernel chooses at random. */
const SCHEDULED: readonly ProxyMode[] = ["ipvs", "userspace"];

/** The planner's part of the configuration. */
export function plannerConfig(
  config: Config,
  mode: ProxyMode,
  localAddresses: readonly string[],
): PlannerConfig {
  return {
    nodeName: config.nodeName,
    nodeAddresses: config.nodeIPs,
    clusterCIDRs: config.clusterCIDRs,
    detectLocalMode: config.detectLocalMode,
    masqueradeAll: config.masqueradeAll,
    nodePortAddresses: config.nodePortAddresses,
    families: config.families,
    scheduler: SCHEDULED.includes(mode) ? config.scheduler ?? "rr" : "random",
    localAddresses: config.nodeIPs.length > 0 ? [] : localAddresses,
  };
}

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
