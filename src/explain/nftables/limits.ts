/**
 * Statements that count, and have a rule go on or not by what they have counted. Of how much that is
 * only quotas tell; all else is taken as not used up.
 *
 * @module
 */

import type { Statement } from "../../dataplane/nftables/language/ast.ts";

/** Whether a rule goes on at such a statement, and what that rests on; null: it always does. */
export interface AtLimit {
  readonly goesOn: boolean;
  readonly note: string | null;
}

const FRESH = "the limit is not used up";

/** What a limit, quota or count of connections does; null for another statement, or one not known. */
export function atLimit(statement: Statement): AtLimit | null {
  switch (statement.kind) {
    case "limit":
      return fresh(/^rate over /.test(statement.text));
    case "counter":
      return { goesOn: true, note: null };
    case "unknown":
      return byText(statement.text);
    default:
      return null;
  }
}

function byText(text: string): AtLimit | null {
  if (/^last\b/.test(text)) return { goesOn: true, note: null };
  const [, connections] = /^ct count (over )?\d+$/.exec(text) ?? [undefined];
  if (text.startsWith("ct count ")) return fresh(connections !== undefined);
  const [, inMeter] = METER.exec(text) ?? [];
  if (inMeter !== undefined) return inMeter.startsWith("limit ") ? limit(inMeter) : byText(inMeter);
  return quota(text);
}

/** `meter NAME size 65535 { ip saddr timeout 1m limit rate 5/second }`, up to nft 1.0 a set's update. */
const METER = /^meter \S+ (?:size \d+ )?\{ .*?\b((?:limit rate|ct count|quota) .*) \}$/;

function limit(text: string): AtLimit {
  return fresh(/^limit rate over /.test(text));
}

/** Nobody has used it up yet: it holds what is within, and lets nothing through that is beyond. */
function fresh(isOver: boolean): AtLimit {
  return { goesOn: !isOver, note: FRESH };
}

const QUOTA = /^quota (over |until )?(\d+) (\w+)(?: used (\d+) (\w+))?$/;

const UNITS: Readonly<Record<string, number>> = { bytes: 1, kbytes: 1 << 10, mbytes: 1 << 20 };

function quota(text: string): AtLimit | null {
  const [, direction, most, unit, used = "0", usedUnit = "bytes"] = QUOTA.exec(text) ?? [];
  if (most === undefined) return null;
  const left = Number(most) * UNITS[unit] - Number(used) * UNITS[usedUnit];
  const isOver = direction === "over ";
  return {
    goesOn: isOver === left <= 0,
    note: left > 0 ? "the quota is not used up" : "the quota is used up",
  };
}
