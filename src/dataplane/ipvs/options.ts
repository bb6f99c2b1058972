/**
 * What ipvs mode renders from, besides the plan.
 *
 * @module
 */

import { type Family, familyOf } from "../../net/address.ts";
import type { NodeInfo, SchedulerFlagName, SchedulerName } from "../../plan/plan.ts";
import { DEFAULT_RULE_OPTIONS, ruleContext, type RuleOptions } from "../iptables/options.ts";

/** A scheduler of the kernel. */
export type KernelScheduler = Exclude<SchedulerName, "random">;

/** How servers choose when the plan doesn't say, or names what the kernel has not. */
export interface DefaultScheduling {
  readonly scheduler: KernelScheduler;
  readonly flags: readonly SchedulerFlagName[];
}

/** Options of ipvs mode's state. */
export interface IpvsOptions {
  /** Of the rules: those that iptables mode has too. */
  readonly rules: RuleOptions;
  /** Everything to cluster IPs is masqueraded. */
  readonly masqueradeAll: boolean;
  readonly scheduling: DefaultScheduling;
  /** Schedulers that this kernel has not; their servers get the default one. */
  readonly missingSchedulers: ReadonlySet<SchedulerName>;
  /** Further addresses that other links of the node have, which kube-ipvs0 must not have too. */
  readonly otherAddresses: ReadonlySet<string>;
  /**
   * Real servers that the kernel has refused, as "10.96.0.1:80/TCP 10.0.0.255:8080": which addresses
   * are no host's, such as the broadcast address of a network of the node, it alone knows.
   */
  readonly refusedReals: ReadonlySet<string>;
}

/** kube-proxy's defaults, on a node with every scheduler. */
export const DEFAULT_IPVS_OPTIONS: IpvsOptions = {
  rules: DEFAULT_RULE_OPTIONS,
  masqueradeAll: false,
  scheduling: { scheduler: "rr", flags: [] },
  missingSchedulers: new Set(),
  otherAddresses: new Set(),
  refusedReals: new Set(),
};

/** The options as they are for one family on one node. */
export interface IpvsContext {
  readonly family: Family;
  /** "0x00004000". */
  readonly mark: string;
  /** Words of a match for traffic of local pods, or null when it cannot be told. */
  readonly ifLocal: readonly string[] | null;
  readonly ifNotLocal: readonly string[] | null;
  readonly randomFully: boolean;
  readonly masqueradeAll: boolean;
  readonly scheduling: DefaultScheduling;
  readonly missingSchedulers: ReadonlySet<SchedulerName>;
  /** This node's own addresses of the family, on whichever link. */
  readonly nodeAddresses: readonly string[];
  /** Those on which node ports answer. */
  readonly nodePortAddresses: readonly string[];
  /** Addresses that other links than kube-ipvs0 have. */
  readonly elsewhere: ReadonlySet<string>;
  readonly refusedReals: ReadonlySet<string>;
}

/** Decides the options for a family. Throws TypeError on options that no rule can be made from. */
export function ipvsContext(family: Family, node: NodeInfo, options: IpvsOptions): IpvsContext {
  const { mark, ifLocal, ifNotLocal, randomFully } = ruleContext(family, node, options.rules);
  const { masqueradeAll, scheduling, missingSchedulers, otherAddresses, refusedReals } = options;
  const own = (addresses: Iterable<string>) =>
    [...addresses].filter((address) => familyOf(address) === family);
  return {
    family,
    mark,
    ifLocal,
    ifNotLocal,
    randomFully,
    masqueradeAll,
    scheduling,
    missingSchedulers,
    nodeAddresses: own(node.addresses),
    nodePortAddresses: own(node.nodePortAddresses),
    elsewhere: new Set([...own(node.addresses), ...own(otherAddresses)]),
    refusedReals,
  };
}
