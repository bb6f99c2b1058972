/**
 * The rules of ipvs mode on a node: what is there and what is to be changed.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import { diffTable, type TableDiff } from "../iptables/diff.ts";
import { JUMPS as IPTABLES_JUMPS } from "../iptables/jumps.ts";
import { CHAIN as IPTABLES_CHAIN } from "../iptables/names.ts";
import {
  hasRule,
  isOwnChain,
  type NodeRules,
  type NodeTable,
  type NodeTableName,
  readRules,
  targetsOfOthers,
  withKeys,
} from "../iptables/read.ts";
import type { Chains } from "../iptables/rules.ts";
import { ruleLine } from "../iptables/text.ts";
import { keyOf } from "../iptables/transaction.ts";
import { JUMPS } from "./jumps.ts";
import { CHAIN, CHAINS } from "./names.ts";
import type { IpvsState } from "./state.ts";

const TABLES: readonly NodeTableName[] = ["nat", "filter", "mangle"];

/** Whether a chain is ipvs mode's alone. */
function isIpvsChain(table: NodeTableName, chain: string): boolean {
  return chain === CHAIN.canary || (table !== "mangle" && CHAINS[table].includes(chain));
}

/** Jumps that iptables mode, ours or kube-proxy's, puts where ipvs mode has none. */
const FORMER_JUMPS = IPTABLES_JUMPS.filter(({ chain, to, table, spec }) =>
  to !== IPTABLES_CHAIN.kubeletFirewall &&
  !JUMPS.some((jump) => jump.table === table && jump.chain === chain && jump.spec === spec)
);

/** Reads iptables-save's text; iptables mode's chains count as ours too, since they are to go. */
export function readTables(text: string, family: Family): NodeRules {
  return readRules(
    text,
    family,
    (table, chain) => isIpvsChain(table, chain) || isOwnChain(table, chain),
  );
}

/** The chains of ipvs mode that a node has, as a state has them. */
export function rulesOf(node: NodeRules): IpvsState["rules"] {
  const chains = (table: "filter" | "nat"): Chains =>
    new Map(
      [...node[table].own].filter(([chain]) => chain !== CHAIN.canary && isIpvsChain(table, chain))
        .map(([chain, { specs, keys }]) => [chain, specs.map((spec, i) => spec ?? keys[i])]),
    );
  return { filter: chains("filter"), nat: chains("nat") };
}

/** What of a node's tables differs from these rules: chains, canaries, and jumps. */
export function diffNodeRules(
  node: NodeRules,
  rules: IpvsState["rules"],
  family: Family,
): TableDiff[] {
  return TABLES.map((table) => {
    const { own, others } = node[table];
    const desired = new Map(table === "mangle" ? [] : rules[table]).set(CHAIN.canary, []);
    const stale = staleJumps(table, others, family);
    const missing = missingJumps(table, others, family);
    return diffTable(table, own, withKeys(desired, (spec) => keyOf(spec, family)), {
      referenced: targetsOfOthers(withoutStale(table, others, family)),
      foreign: [
        ...stale.map(({ chain, spec }) => ruleLine("-D", chain, spec)),
        ...missing.map(({ chain, spec }) => ruleLine("-I", chain, spec)),
      ],
    });
  });
}

/** What differs between two sets of rules, the first of which the node has. */
export function diffRules(before: IpvsState["rules"], after: IpvsState["rules"]): TableDiff[] {
  const keyed = (chains: Chains) => withKeys(chains, (spec) => spec);
  return (["nat", "filter"] as const)
    .map((table) => diffTable(table, keyed(before[table]), keyed(after[table])));
}

/** Jumps that should be in a table and are not. */
export function missingJumps(table: NodeTableName, others: NodeTable["others"], family: Family) {
  return JUMPS.filter((jump) =>
    jump.table === table && !hasRule(others, jump.chain, keyOf(jump.spec, family))
  );
}

function staleJumps(table: NodeTableName, others: NodeTable["others"], family: Family) {
  return FORMER_JUMPS.filter((jump) =>
    jump.table === table && hasRule(others, jump.chain, keyOf(jump.spec, family))
  );
}

function withoutStale(
  table: NodeTableName,
  others: NodeTable["others"],
  family: Family,
): NodeTable["others"] {
  const stale = new Set(
    FORMER_JUMPS.filter((jump) => jump.table === table)
      .map(({ chain, spec }) => `${chain} ${keyOf(spec, family)}`),
  );
  return new Map(
    [...others].map(([chain, rules]) =>
      [chain, rules.filter(({ key }) => !stale.has(`${chain} ${key}`))] as const
    ),
  );
}

/** Whether a node has chains that only ipvs mode makes. */
export function hasIpvsChains(node: NodeRules): boolean {
  return TABLES.some((table) =>
    [...node[table].own.keys()].some((chain) =>
      isIpvsChain(table, chain) && !isOwnChain(table, chain)
    )
  );
}

/**
 * The changes that take the chains of ipvs mode off a node, and those of iptables mode with them,
 * because both have some of the same name.
 */
export function diffRulesCleanup(node: NodeRules, family: Family): TableDiff[] {
  return TABLES.map((table) => {
    const { own, others } = node[table];
    const jumps = new Map(
      [...JUMPS, ...FORMER_JUMPS].filter((jump) => jump.table === table)
        .map(({ chain, spec }) => [`${chain} ${keyOf(spec, family)}`, spec]),
    );
    const left = new Map(
      [...others].map(([chain, rules]) =>
        [chain, rules.filter(({ key }) => !jumps.has(`${chain} ${key}`))] as const
      ),
    );
    const foreign = [...others].flatMap(([chain, rules]) =>
      rules.flatMap(({ key }) => {
        const spec = jumps.get(`${chain} ${key}`);
        return spec === undefined ? [] : [ruleLine("-D", chain, spec)];
      })
    );
    return diffTable(table, own, new Map(), { referenced: targetsOfOthers(left), foreign });
  });
}
