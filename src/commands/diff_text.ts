/**
 * Differences of a node for people.
 *
 * @module
 */

import type { DiffAnswer } from "../api/diff.ts";
import { formatSocketAddress } from "../net/address.ts";

/** The answer of GET /api/v1/diff, with an end of line behind each line. */
export function formatDiff({ mode, differences, verification }: DiffAnswer): string {
  const lines = differences === null
    ? [`${mode}: this node is not programmed`]
    : differences.length === 0
    ? [`${mode}: the node is as it should be`]
    : differences.flatMap(({ where, problem, found, expected }) => [
      `${where}: ${problem}`,
      ...found.map((line) => `  - ${line}`),
      ...expected.map((line) => `  + ${line}`),
    ]);
  if (verification !== null) {
    const { asked, disputes, known, rules, stable } = verification;
    lines.push(
      `engine and ${rules === "plan" ? "plan" : "rules"} were asked about ${asked} packets: ` +
        (disputes.length === 0 ? "they agree" : `they do not agree about ${disputes.length}`) +
        (known === 0 ? "" : `, ${known} as is known of the mode`) +
        (stable ? "" : "; the plan changed meanwhile"),
    );
    for (const { packet, from, service, frontend, disagreements } of disputes) {
      const { source, dest, port, protocol } = packet;
      const dialled = `${source} -> ${formatSocketAddress(dest, port)}/${protocol}`;
      lines.push(`${dialled} (from ${from}, ${frontend} of ${service})`);
      for (const { field, engine, rules } of disagreements) {
        lines.push(`  ${field}: engine ${engine}, rules ${rules}`);
      }
    }
  }
  return lines.map((line) => `${line}\n`).join("");
}
