/**
 * The expressions and statements of which kube-proxy's rules are made.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import { tableFamily } from "./names.ts";
import type {
  AnonymousSet,
  Element,
  Match,
  Rule,
  Selector,
  SetReference,
  Statement,
  Value,
  Verdict,
} from "./language/ast.ts";

/** The longest comment that nft keeps, bytes. */
const COMMENT_BYTES = 127;

/** A comment as it can be stored: printable, without what ends one, and cut to what nft keeps. */
export function commentText(text: string): string {
  // deno-lint-ignore no-control-regex
  const printable = text.replace(/[\x00-\x1f\x7f"]/g, "?").toWellFormed();
  if (printable.length * 3 <= COMMENT_BYTES) return printable;
  const { read } = new TextEncoder().encodeInto(printable, new Uint8Array(COMMENT_BYTES));
  return printable.slice(0, read);
}

/** A rule of these statements. */
export function rule(statements: readonly Statement[], comment: string | null = null): Rule {
  return { statements, comment, handle: null, line: null };
}

/** An element of a set, or with data of a map. */
export function element(
  key: Value,
  data: Element["data"] = null,
  comment: string | null = null,
): Element {
  return { key, data, comment, timeout: null, expires: null, statements: [] };
}

export const DROP: Verdict = { kind: "drop" };

export function goto(chain: string): Verdict {
  return { kind: "goto", chain };
}

/** A verdict as a statement. */
export function verdict(verdict: Verdict): Statement {
  return { kind: "verdict", verdict };
}

export function jump(chain: string): Statement {
  return verdict({ kind: "jump", chain });
}

export function match(left: Selector, right: Value, operator: Match["operator"] = "is"): Match {
  return { kind: "match", left, operator, right };
}

/** `ip saddr` or `ip daddr`, in IPv6 `ip6 saddr` or `ip6 daddr`. */
export function address(family: Family, field: "saddr" | "daddr"): Selector {
  return { kind: "payload", protocol: tableFamily(family), field };
}

export const PROTOCOL: Selector = { kind: "meta", key: "l4proto" };
export const MARK: Selector = { kind: "meta", key: "mark" };
export const INPUT_LINK: Selector = { kind: "meta", key: "iifname" };
/** The destination port of any transport. */
export const PORT: Selector = { kind: "payload", protocol: "th", field: "dport" };

export function concat<Part>(...parts: readonly Part[]) {
  return { kind: "concat" as const, parts };
}

export function symbol(name: string): Value {
  return { kind: "symbol", name };
}

export function number(value: number): Value {
  return { kind: "number", value };
}

export function addressValue(text: string): Value {
  return { kind: "address", text };
}

export function reference(name: string): SetReference {
  return { kind: "reference", name };
}

/** A verdict by what the key leads to; none when it leads to nothing. */
export function verdictMap(key: Selector, map: SetReference | AnonymousSet): Statement {
  return { kind: "vmap", key, map };
}

/** The connection's first packet. */
export const IS_NEW: Statement = match(
  { kind: "ct", direction: null, key: "state" },
  symbol("new"),
);

/** Whether an address of the packet is one of the node's own. */
export function isLocal(field: "saddr" | "daddr"): Statement {
  return match({ kind: "fib", flags: [field], result: "type" }, symbol("local"));
}

/** The mark with some bits set, cleared or changed. */
export function markBits(operator: "&" | "|" | "^", bits: number): Selector {
  return { kind: "bitwise", operator, left: MARK, right: { kind: "number", value: bits } };
}
