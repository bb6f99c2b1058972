/**
 * The kernel's tables in the language of nft.
 *
 * @module
 */

import { SET_FLAGS, TABLE_FLAGS } from "../../../netlink/netfilter/nftables/names.ts";
import type { TableContents } from "../../../netlink/netfilter/nftables/nftables.ts";
import type {
  Chain as KernelChain,
  NamedObject,
  Rule as KernelRule,
} from "../../../netlink/netfilter/nftables/objects.ts";
import type { Chain, NamedSet, Rule, Table } from "../language/ast.ts";
import { decompileRule, type FilledSet, type TableContext } from "./decompile_rule.ts";
import { decompileBase } from "./hooks.ts";
import { decompileSet } from "./sets.ts";

/**
 * A table of family ip or ip6 in the language, in steps of one chain or set each; null for other
 * families.
 */
export function* tableSteps(contents: TableContents): Generator<void, Table | null, void> {
  const { table, sets, objects } = contents;
  const { family } = table;
  if (family !== "ip" && family !== "ip6") return null;
  const context = { family, sets: byName(sets) };
  const rules = Map.groupBy(contents.rules, ({ chain }) => chain);
  const chains: Chain[] = [];
  for (const chain of contents.chains) {
    chains.push(decompileChain(chain, rules.get(chain.chain) ?? [], context));
    yield;
  }
  const named: NamedSet[] = [];
  for (const set of sets) {
    if ((set.flags & SET_FLAGS.anonymous) === 0) named.push(decompileSet(set));
    yield;
  }
  return {
    family,
    name: table.table,
    comment: table.comment ?? null,
    flags: Object.entries(TABLE_FLAGS).filter(([, bit]) => (table.flags & bit) !== 0)
      .map(([name]) => name),
    handle: table.handle,
    chains,
    sets: named,
    objects: objects.map(objectText),
  };
}

/** A chain with its rules in the language. */
export function decompileChain(
  chain: KernelChain,
  rules: readonly KernelRule[],
  context: TableContext,
): Chain {
  return {
    name: chain.chain,
    base: decompileBase(chain.hook),
    comment: chain.comment ?? null,
    handle: chain.handle,
    rules: rules.map((rule): Rule => decompileRule(rule, context)),
  };
}

/** Sets by their names. */
export function byName(sets: readonly FilledSet[]): Map<string, FilledSet> {
  return new Map(sets.map((set) => [set.set, set]));
}

function objectText({ type, name }: NamedObject): string {
  return `${type} ${name}`;
}
