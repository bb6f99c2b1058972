/**
 * Statements that are kept by their texts.
 *
 * @module
 */

import { rawAttributes } from "../../../netlink/attribute.ts";
import { name } from "../../../netlink/netfilter/nftables/codecs.ts";
import type { Expression, ExpressionOf } from "../../../netlink/netfilter/nftables/expression.ts";
import { LIMIT_INVERTED } from "../../../netlink/netfilter/nftables/names.ts";
import type { Limit, Log, Statement, UnknownStatement } from "../language/ast.ts";

const UNITS = new Map([[1, "second"], [60, "minute"], [3600, "hour"], [86400, "day"], [
  604800,
  "week",
]]);

/** A limit; nft does not write the burst that it takes of packets unless told otherwise. */
export function limitStatement(
  { rate = 0, unit = 1, burst = 0, type, flags = 0 }: ExpressionOf<"limit">,
): Limit {
  const per = UNITS.get(unit) ?? `${unit} seconds`;
  const over = (flags & LIMIT_INVERTED) !== 0 ? "over " : "";
  const bytes = type === "bytes" ? " bytes" : "";
  const usual = burst === 0 || burst === 5 && type === "packets";
  const bursts = usual ? "" : ` burst ${burst}${type === "bytes" ? bytes : " packets"}`;
  return { kind: "limit", text: `rate ${over}${rate}${bytes}/${per}${bursts}` };
}

/** NFT_QUOTA_F_INV and NFT_CONNLIMIT_F_INV: what is beyond it passes. */
const OVER = 1;

/** A quota, and how much of it is used. */
export function quotaStatement(
  { bytes = 0, consumed = 0, flags = 0 }: ExpressionOf<"quota">,
): UnknownStatement {
  const over = (flags & OVER) !== 0 ? "over " : "";
  const used = consumed === 0 ? "" : ` used ${consumed} bytes`;
  return { kind: "unknown", text: `quota ${over}${bytes} bytes${used}` };
}

/** So many connections at a time. */
export function connectionLimitStatement(
  { count = 0, flags = 0 }: ExpressionOf<"connlimit">,
): UnknownStatement {
  return { kind: "unknown", text: `ct count ${(flags & OVER) !== 0 ? "over " : ""}${count}` };
}

/** An object of the table that has a name; null where a map says which one, or it is not known. */
export function objectStatement(
  { type, name, set }: ExpressionOf<"objref">,
): Statement | null {
  if (name === undefined || set !== undefined) return null;
  switch (type) {
    case "counter":
      return { kind: "counter", name, packets: 0, bytes: 0 };
    case "limit":
      return { kind: "limit", text: `name "${name}"` };
    case "quota":
      return { kind: "unknown", text: `quota name "${name}"` };
    case "ct helper":
    case "ct timeout":
    case "ct expectation": {
      const target = { kind: "ct", direction: null, key: type.slice("ct ".length) } as const;
      return { kind: "mangle", target, value: { kind: "string", text: name } };
    }
    default:
      return null;
  }
}

/** The level that nft does not write. */
const WARNING = 4;
const LEVELS = ["emerg", "alert", "crit", "err", "warn", "notice", "info", "debug", "audit"];

/** NF_LOG_*, all that nft has words for. */
const ALL_FLAGS = 0x2f;

/** A log to the kernel's own, or to a group. */
export function logStatement(
  { prefix, group, level, flags = 0, snapLength = 0, queueThreshold = 0 }: ExpressionOf<"log">,
): Log {
  const parts = [
    ...(prefix === undefined ? [] : [`prefix "${prefix}"`]),
    ...(group === undefined ? [] : [`group ${group}`]),
    ...(snapLength === 0 ? [] : [`snaplen ${snapLength}`]),
    ...(queueThreshold === 0 ? [] : [`queue-threshold ${queueThreshold}`]),
    ...(level === undefined || level === WARNING ? [] : [`level ${LEVELS[level] ?? level}`]),
    ...(flags === 0 ? [] : [`flags ${flags === ALL_FLAGS ? "all" : flags}`]),
  ];
  return { kind: "log", text: parts.join(" ") };
}

/**
 * What is known of an expression that is not: its kind, whether it sets what others load, and, where
 * there are any, its bytes.
 */
export function unknownText(expression: Expression): string {
  if (expression.kind !== "unknown") {
    const sets = SETTERS.has(expression.kind) && "sreg" in expression && !("dreg" in expression);
    return `[ ${expression.kind}${sets ? " set" : ""} ]`;
  }
  const { name, data } = expression;
  const said = OTHERS[name]?.(data === null ? null : nameIn(data));
  if (said !== undefined) return said;
  if (name === "exthdr" && data !== null && has(data, EXTENSION_SOURCE)) return "[ exthdr set ]";
  return `[ ${name}${data === null ? "" : ` ${data.toHex()}`} ]`;
}

/** Expressions that load or set the same. */
const SETTERS = new Set(["payload", "meta", "ct"]);

/** NFTA_EXTHDR_SREG. */
const EXTENSION_SOURCE = 7;

/** Expressions that nft has words for, of which only the first ones count. */
const OTHERS: Readonly<Record<string, (name: string | null) => string>> = {
  match: (name) => `xt match "${name}"`,
  target: (name) => `xt target "${name}"`,
  flow_offload: (name) => `flow add @${name}`,
  dup: () => "dup to",
  fwd: () => "fwd to",
  last: () => "last",
  tproxy: () => "tproxy to",
  synproxy: () => "synproxy",
};

/** NFTA_MATCH_NAME, NFTA_TARGET_NAME and NFTA_FLOW_TABLE_NAME. */
const NAME = 1;

function has(data: Uint8Array, attribute: number): boolean {
  return rawAttributes(data).some(({ id }) => id === attribute);
}

function nameIn(data: Uint8Array): string | null {
  for (const { id, payload } of rawAttributes(data)) if (id === NAME) return name.read(payload);
  return null;
}
