/** A node's tables as netlink tells them. */

import { decompileRule } from "../../../src/dataplane/nftables/kernel/decompile_rule.ts";
import { decompileTable, type PlacedRule } from "../../../src/dataplane/nftables/kernel/table.ts";
import type { Table } from "../../../src/dataplane/nftables/language/ast.ts";
import type { Nftables } from "../../../src/netlink/netfilter/nftables/nftables.ts";

/** All of them, in the order in which they were made. */
export function tablesBy(nftables: Nftables): Table[] {
  return nftables.tables().map(({ family, table }) => {
    const steps = nftables.contentsSteps({ family, table }, (rule, sets): PlacedRule => ({
      chain: rule.chain,
      rule: decompileRule(rule, { family, sets }),
    }));
    for (;;) {
      const { done, value } = steps.next();
      if (done) return decompileTable(value!);
    }
  });
}
