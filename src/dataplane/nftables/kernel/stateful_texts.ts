/**
 * Statements that are kept by their texts.
 *
 * @module
 */

import type { Expression, ExpressionOf } from "../../../netlink/netfilter/nftables/expression.ts";
import { LIMIT_INVERTED } from "../../../netlink/netfilter/nftables/names.ts";
import type { Statement } from "../language/ast.ts";

const UNITS = new Map([[1, "second"], [60, "minute"], [3600, "hour"], [86400, "day"], [
  604800,
  "week",
]]);

/** A limit of packets; nft does not write the burst that it takes unless told otherwise. */
export function limitStatement(
  { rate, unit = 1, burst = 0, type, flags = 0 }: ExpressionOf<"limit">,
): Statement | null {
  const name = UNITS.get(unit);
  if (type !== "packets" || rate === undefined || name === undefined) return null;
  const over = (flags & LIMIT_INVERTED) !== 0 ? "over " : "";
  const bursts = burst === 0 || burst === 5 ? "" : ` burst ${burst} packets`;
  return { kind: "limit", text: `rate ${over}${rate}/${name}${bursts}` };
}

/** The level that nft does not write. */
const WARNING = 4;
const LEVELS = ["emerg", "alert", "crit", "err", "warn", "notice", "info", "debug", "audit"];

/** A log to the kernel's own, or to a group without special wishes. */
export function logStatement(
  { prefix, group, level, flags = 0, snapLength = 0, queueThreshold = 0 }: ExpressionOf<"log">,
): Statement | null {
  if (flags !== 0 || snapLength !== 0 || queueThreshold !== 0) return null;
  const parts = [
    ...(prefix === undefined ? [] : [`prefix "${prefix}"`]),
    ...(group === undefined ? [] : [`group ${group}`]),
    ...(level === undefined || level === WARNING ? [] : [`level ${LEVELS[level] ?? level}`]),
  ];
  return { kind: "log", text: parts.join(" ") };
}

/** What is known of an expression that is not: its kind and, where there are any, its bytes. */
export function unknownText(expression: Expression): string {
  if (expression.kind !== "unknown") return `[ ${expression.kind} ]`;
  const { name, data } = expression;
  return `[ ${name}${data === null ? "" : ` ${data.toHex()}`} ]`;
}
