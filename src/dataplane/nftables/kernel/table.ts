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
} from "../../../netlink/netfilter/nftables/objects.ts";
import type { Chain, Rule, Table } from "../language/ast.ts";
import { decompileBase } from "./hooks.ts";
import { decompileSet } from "./sets.ts";

/** A rule of a table that is being read, with its chain. */
export interface PlacedRule {
  readonly chain: string;
  readonly rule: Rule;
}

/** The table, whose rules are in the language already. */
export function decompileTable(contents: TableContents<PlacedRule>): Table {
  const { table, chains, sets, objects } = contents;
  const rules = new Map<string, Rule[]>(chains.map(({ chain }) => [chain, []]));
  for (const { chain, rule } of contents.rules) rules.get(chain)?.push(rule);
  return {
    family: table.family,
    name: table.table,
    comment: table.comment ?? null,
    flags: Object.entries(TABLE_FLAGS).filter(([, bit]) => (table.flags & bit) !== 0)
      .map(([name]) => name),
    handle: table.handle,
    chains: chains.map((chain) => decompileChain(chain, rules.get(chain.chain) ?? [])),
    sets: sets.filter(({ flags }) => (flags & SET_FLAGS.anonymous) === 0).map(decompileSet),
    objects: objects.map(objectText),
  };
}

/** A chain with its rules in the language. */
export function decompileChain(chain: KernelChain, rules: readonly Rule[]): Chain {
  return {
    name: chain.chain,
    base: decompileBase(chain.hook, chain.family),
    comment: chain.comment ?? null,
    handle: chain.handle,
    rules,
  };
}

function objectText({ type, name }: NamedObject): string {
  return `${type} ${name}`;
}
