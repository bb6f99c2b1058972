/** What iptables-save would print. */

import {
  type Counters,
  joinWords,
  type SaveTable,
} from "../../../src/dataplane/iptables/save_text.ts";

/** Writes tables in iptables-save's form: what {@link parseSave} reads back as the same. */
export function formatSave(tables: readonly SaveTable[]): string {
  const lines: string[] = [];
  for (const table of tables) {
    lines.push(`*${table.name}`);
    for (const [name, { policy, counters }] of table.chains) {
      lines.push(
        `:${name} ${policy ?? "-"}${counters === null ? "" : ` ${formatCounters(counters)}`}`,
      );
    }
    for (const { chain, tokens, counters } of table.rules) {
      const prefix = counters === undefined ? "" : `${formatCounters(counters)} `;
      const words = tokens.length === 0 ? "" : ` ${joinWords(tokens)}`;
      lines.push(`${prefix}-A ${chain}${words}`);
    }
    lines.push("COMMIT");
  }
  return lines.map((line) => `${line}\n`).join("");
}

function formatCounters({ packets, bytes }: Counters): string {
  return `[${packets}:${bytes}]`;
}
