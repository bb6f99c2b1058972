/**
 * What the rules depend on besides the plan: kube-proxy's flags for nftables mode.
 *
 * @module
 */

import { type Family, familyOf, parseNetwork } from "../../net/address.ts";
import type { NodeInfo, Plan } from "../../plan/plan.ts";
import {
  DEFAULT_RULE_OPTIONS,
  type LocalDetection,
  ruleContext,
  type RuleOptions,
} from "../iptables/options.ts";
import { isLoopback } from "../../plan/node.ts";
import { networksValue } from "./intervals.ts";
import type { Match, Statement, Value } from "./language/ast.ts";
import { address, INPUT_LINK, match } from "./statements.ts";

/** Options of the rule set: those of iptables mode that mean something here. */
export type NftablesRuleOptions = Pick<
  RuleOptions,
  "masqueradeBit" | "nodePortAddresses" | "localDetection"
>;

/** kube-proxy's defaults in nftables mode. */
export const DEFAULT_NFTABLES_OPTIONS: NftablesRuleOptions = {
  masqueradeBit: DEFAULT_RULE_OPTIONS.masqueradeBit,
  nodePortAddresses: ["primary"],
  localDetection: DEFAULT_RULE_OPTIONS.localDetection,
};

/** The options as they are for one family on one node. */
export interface NftablesContext {
  readonly family: Family;
  /** The bit by which packets to be masqueraded are known. */
  readonly mark: number;
  /** A match for traffic of local pods, or null when it cannot be told. */
  readonly ifLocal: Statement | null;
  readonly ifNotLocal: Statement | null;
  /** Addresses on which node ports answer; null: every address of the node but loopback. */
  readonly nodePortAddresses: readonly string[] | null;
  /** Networks that cluster IPs are taken from; null: not known. */
  readonly serviceNetworks: Value | null;
}

/** Decides the options for a family. Throws TypeError on options that no rule can be made from. */
export function nftablesContext(
  family: Family,
  plan: Pick<Plan, "node" | "serviceNetworks">,
  options: NftablesRuleOptions,
): NftablesContext {
  const { node, serviceNetworks = [] } = plan;
  // It checks what it is given.
  const { mark, nodePortAddresses } = ruleContext(family, node, {
    ...DEFAULT_RULE_OPTIONS,
    ...options,
  });
  const networks = serviceNetworks.filter((text) => parseNetwork(text)?.family === family);
  const local = localTraffic(family, node, options.localDetection);
  return {
    family,
    mark: Number(mark),
    ifLocal: local,
    ifNotLocal: local === null ? null : { ...local, operator: "!=" },
    nodePortAddresses: nodePortAddresses?.filter((one) => !isLoopback(one)) ?? null,
    serviceNetworks: networks.length === 0 ? null : networksValue(networks),
  };
}

/** Networks of loopback addresses, on which node ports should answer and never do. */
export function loopbackNetworks({ nodePortAddresses }: NftablesRuleOptions): string[] {
  return nodePortAddresses.filter((text) => {
    const network = parseNetwork(text);
    return network !== null && isLoopback(network.address);
  });
}

function localTraffic(family: Family, node: NodeInfo, detection: LocalDetection): Match | null {
  switch (detection.by) {
    case "network": {
      const network = node.podNetworks.find((text) => familyOf(text) === family);
      return network === undefined
        ? null
        : match(address(family, "saddr"), networksValue([network]));
    }
    case "bridge":
      return match(INPUT_LINK, { kind: "string", text: detection.name });
    case "interface-prefix":
      return match(INPUT_LINK, { kind: "string", text: `${detection.prefix}*` });
  }
}
