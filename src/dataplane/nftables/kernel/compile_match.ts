/**
 * Comparisons with values as the kernel's expressions.
 *
 * @module
 */

import type { DataType } from "../../../netlink/netfilter/nftables/datatypes.ts";
import type { ExpressionOf } from "../../../netlink/netfilter/nftables/expression.ts";
import { FIB_FLAGS } from "../../../netlink/netfilter/nftables/names.ts";
import { HOST_ORDER, NETWORK_ORDER } from "../../../netlink/netfilter/nftables/userdata.ts";
import type { Fib, Match, Network, Selector, Value } from "../language/ast.ts";
import { networkBounds, prefixMask } from "./intervals.ts";
import { type ExpressionWriter, REGISTER } from "./loads.ts";
import { loadOf, selectorType } from "./selectors.ts";
import { CompileError, isFlags, valueBytes } from "./values.ts";

/** What is said of a route that is looked for, not which it is. */
const PRESENCE = new Set(["exists", "missing"]);

const COMPARISONS = {
  "is": "eq",
  "==": "eq",
  "!=": "neq",
  "<": "lt",
  ">": "gt",
  "<=": "lte",
  ">=": "gte",
} as const;

type Comparison = (typeof COMPARISONS)[keyof typeof COMPARISONS];

const encoder = new TextEncoder();

/** Writes a comparison with a value that is no set. Throws CompileError. */
export function compileMatch({ left, operator, right }: Match, out: ExpressionWriter): void {
  const op = COMPARISONS[operator];
  if (right.kind === "network") return matchNetwork(left, right, op, out);
  if (left.kind === "fib" && right.kind === "symbol" && PRESENCE.has(right.name)) {
    return matchPresence(left, right, op, out);
  }
  const type = selectorType(left);
  out.load(left);
  if (right.kind === "string" && right.text.endsWith("*")) {
    const data = encoder.encode(right.text.slice(0, -1));
    return out.add({ kind: "cmp", sreg: REGISTER, op, data });
  }
  if (right.kind === "range") return matchRange(right.from, right.to, type, op, out);
  if (isFlags(type) && left.kind !== "bitwise" && operator === "is") {
    return matchAnyFlag(right, type, out);
  }
  const ordered = op === "eq" || op === "neq" ? type : inOrder(type, out);
  out.add({ kind: "cmp", sreg: REGISTER, op, data: valueBytes(right, [ordered]) });
  if (left.kind === "meta" && left.key === "l4proto" && op === "eq") {
    out.learnTransport(valueBytes(right, [type])[0]);
  }
}

/** Of a network that ends at a byte, only those bytes are loaded. */
function matchNetwork(
  left: Selector,
  network: Network,
  op: Comparison,
  out: ExpressionWriter,
): void {
  equality(op, "network");
  const { from } = networkBounds(network);
  const { prefix } = network;
  if (from.length !== selectorType(left).size) {
    throw new CompileError(`${network.address}/${prefix} is no ${selectorType(left).name}`);
  }
  if (left.kind === "payload" && prefix % 8 === 0 && prefix > 0) {
    const length = prefix / 8;
    out.load(left, length);
    return out.add({ kind: "cmp", sreg: REGISTER, op, data: from.slice(0, length) });
  }
  out.load(left);
  out.bits(prefixMask(prefix, from.length), new Uint8Array(from.length));
  out.add({ kind: "cmp", sreg: REGISTER, op, data: from });
}

/** Whether there is a route at all. */
function matchPresence(left: Fib, right: Value, op: Comparison, out: ExpressionWriter): void {
  equality(op, "route");
  const load = loadOf(left, REGISTER) as ExpressionOf<"fib">;
  out.add({ ...load, result: "oif", flags: (load.flags ?? 0) | FIB_FLAGS.present });
  const type = selectorType({ ...left, result: "check" });
  out.add({ kind: "cmp", sreg: REGISTER, op, data: valueBytes(right, [type]) });
}

function matchRange(
  first: Value,
  last: Value,
  type: DataType,
  op: Comparison,
  out: ExpressionWriter,
): void {
  equality(op, "range");
  const ordered = inOrder(type, out);
  const from = valueBytes(first, [ordered]);
  const to = valueBytes(last, [ordered]);
  if (op === "neq") return out.add({ kind: "range", sreg: REGISTER, op: "neq", from, to });
  out.add({ kind: "cmp", sreg: REGISTER, op: "gte", data: from });
  out.add({ kind: "cmp", sreg: REGISTER, op: "lte", data: to });
}

function matchAnyFlag(flags: Value, type: DataType, out: ExpressionWriter): void {
  const zero = new Uint8Array(type.size);
  out.bits(valueBytes(flags, [type]), zero);
  out.add({ kind: "cmp", sreg: REGISTER, op: "neq", data: zero });
}

/** Has the register hold a number in the order in which bytes compare as numbers do. */
function inOrder(type: DataType, out: ExpressionWriter): DataType {
  if (type.byteOrder !== HOST_ORDER || type.size === 1) return type;
  out.add({
    kind: "byteorder",
    sreg: REGISTER,
    dreg: REGISTER,
    op: "hton",
    length: type.size,
    size: type.size,
  });
  return { ...type, byteOrder: NETWORK_ORDER };
}

function equality(op: Comparison, what: string): void {
  if (op !== "eq" && op !== "neq") throw new CompileError(`a ${what} is compared by ${op}`);
}
