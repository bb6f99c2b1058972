/**
 * What registers hold, and what comparing and masking it means in the language.
 *
 * @module
 */

import type { DataType } from "../../../netlink/netfilter/nftables/datatypes.ts";
import type {
  Bitwise,
  Expression as LanguageExpression,
  Match,
  Selector,
  Value,
} from "../language/ast.ts";
import { maskPrefix } from "./intervals.ts";
import { addressText, bytesNumber, bytesValue, flagsValue, isFlags, linkName } from "./values.ts";

/** What a register holds. */
export interface Held {
  readonly expression: LanguageExpression | { readonly kind: "bytes"; readonly bytes: Uint8Array };
  readonly type: DataType;
  /** Bytes. */
  readonly size: number;
  /** Of bits that were masked: of a network, or to look whether some are set. */
  readonly mask?: Uint8Array;
  /** What a map leads to is an address, with a port behind it. */
  readonly pair?: boolean;
}

/** What the kernel's comparisons are called. */
export const OPERATORS = { eq: "is", neq: "!=", lt: "<", lte: "<=", gt: ">", gte: ">=" } as const;

type Comparison = keyof typeof OPERATORS;

/**
 * What masking and flipping bits of a register makes of it: `& m ^ x | o`, of which what does
 * nothing is left out. A mask of addresses or flags may be a network, or ask for any of them.
 */
export function bitsOf(held: Held, mask: Uint8Array, xor: Uint8Array): Held | null {
  const { type } = held;
  if (held.expression.kind === "bytes" || mask.length !== held.size || xor.length !== held.size) {
    return null;
  }
  const isMaskOnly = xor.every((byte) => byte === 0);
  if (isMaskOnly && (type.name.endsWith("_addr") || isFlags(type))) return { ...held, mask };
  const set = xor.map((byte, i) => byte & ~mask[i]);
  const kept = mask.map((byte, i) => byte | set[i]);
  let expression: LanguageExpression = held.expression;
  const apply = (operator: Bitwise["operator"], bytes: Uint8Array) => {
    const right = bitsValue(bytes, type);
    expression = { kind: "bitwise", operator, left: expression, right };
  };
  if (kept.some((byte) => byte !== 0xff)) apply("&", kept);
  const flipped = xor.map((byte, i) => byte & mask[i]);
  if (flipped.some((byte) => byte !== 0)) apply("^", flipped);
  if (set.some((byte) => byte !== 0)) apply("|", set);
  return { ...held, expression };
}

/** Bits of a type: an address, flags, or a number. */
function bitsValue(bytes: Uint8Array, type: DataType): Value {
  if (type.name.endsWith("_addr")) return bytesValue(bytes, [type]);
  const number = bytesNumber(bytes, type);
  return isFlags(type) && number !== 0
    ? flagsValue(number, type)
    : { kind: "number", value: number };
}

/** A comparison of what is left of a value by a mask. */
function maskedMatch(
  { expression, type }: Held,
  mask: Uint8Array,
  operator: Match["operator"],
  data: Uint8Array,
): Match | null {
  if (expression.kind === "bytes" || data.length !== type.size || mask.length !== type.size) {
    return null;
  }
  const left: Selector = {
    kind: "bitwise",
    operator: "&",
    left: expression,
    right: bitsValue(mask, type),
  };
  return { kind: "match", left, operator, right: bitsValue(data, type) };
}

/** The comparison of what a register holds; null if the language cannot say it. */
export function comparison(
  held: Held,
  left: Selector,
  op: Comparison,
  data: Uint8Array,
): Match | null {
  const { type, size, mask } = held;
  const operator = OPERATORS[op];
  const match = (right: Value, sign: Match["operator"] = operator): Match => ({
    kind: "match",
    left,
    operator: sign,
    right,
  });
  if (mask !== undefined && isFlags(type)) {
    const anyIsSet = op === "neq" && data.every((byte) => byte === 0);
    return anyIsSet ? match(bitsValue(mask, type), "is") : maskedMatch(held, mask, operator, data);
  }
  if (type.name === "ipv4_addr" || type.name === "ipv6_addr") {
    const prefix = mask === undefined ? 8 * size : maskPrefix(mask);
    if (prefix === null) return maskedMatch(held, mask!, operator, data);
    return data.length === size ? match(networkValue(data, prefix, type)) : null;
  }
  if (mask !== undefined) return null;
  if (type.name === "ifname" && data.length < type.size) {
    // What is compared up to its end is a whole name, as iptables-nft has it.
    const text = data.at(-1) === 0 ? linkName(data) : `${linkName(data)}*`;
    return match({ kind: "string", text });
  }
  if (data.length !== type.size) return null;
  if (left.kind === "bitwise") return match(bitsValue(data, type));
  return match(bytesValue(data, [type]), isFlags(type) && operator === "is" ? "==" : operator);
}

/** The network of a prefix, or the address that is all of it. */
function networkValue(start: Uint8Array, prefix: number, type: DataType): Value {
  const bytes = new Uint8Array(type.size);
  bytes.set(start);
  const address = addressText(bytes);
  return prefix === 8 * type.size
    ? { kind: "address", text: address }
    : { kind: "network", address, prefix };
}
