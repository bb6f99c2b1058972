/** Tables side by side. */

import type { Element, Table } from "../../../src/dataplane/nftables/language/ast.ts";

/**
 * The same table without what only tells where it comes from. kube-proxy visits Services in no
 * particular order and the kernel keeps elements in none, so both are sorted.
 */
export function sortedTable(table: Table): Table {
  const byName = (a: { name: string }, b: { name: string }) => a.name < b.name ? -1 : 1;
  return {
    ...table,
    handle: null,
    chains: table.chains.map((chain) => ({
      ...chain,
      handle: null,
      rules: chain.rules.map((rule) => ({ ...rule, handle: null, line: null })),
    })).sort(byName),
    sets: table.sets.map((set) => ({
      ...set,
      handle: null,
      elements: [...set.elements].sort(byKey),
    })).sort(byName),
  };
}

function byKey(a: Element, b: Element): number {
  return JSON.stringify(a.key) < JSON.stringify(b.key) ? -1 : 1;
}
