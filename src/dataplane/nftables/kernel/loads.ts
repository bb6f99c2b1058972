/**
 * Writing a rule's expressions: loading selectors into registers, as nft does. What is compared is
 * loaded into register 1, parts of a concatenation into those that follow.
 *
 * @module
 */

import type { DataType } from "../../../netlink/netfilter/nftables/datatypes.ts";
import type { Expression } from "../../../netlink/netfilter/nftables/expression.ts";
import { HOST_ORDER } from "../../../netlink/netfilter/nftables/userdata.ts";
import { align } from "../../../netlink/writer.ts";
import type { Bitwise, Selector, Value } from "../language/ast.ts";
import { fieldOf, loadOf, selectorType, TRANSPORTS } from "./selectors.ts";
import { CompileError, numberBytes, valueBytes } from "./values.ts";

/** The register where values are loaded. */
export const REGISTER = 1;
/** The first of the registers of four bytes that share its space. */
const FIRST_WORD = 8;

/** The expressions of one rule. */
export class ExpressionWriter {
  readonly expressions: Expression[] = [];
  /** The transport that the packet has, as far as the rule asked. */
  #transport: number | null = null;

  add(expression: Expression): void {
    this.expressions.push(expression);
  }

  /** Takes note that the rule asked for a transport. */
  learnTransport(number: number): void {
    this.#transport = number;
  }

  /** Loads a key, part after part, and tells its types. */
  loadKey(key: Selector): readonly DataType[] {
    if (key.kind !== "concat") {
      this.load(key);
      return [selectorType(key)];
    }
    let word = FIRST_WORD;
    return key.parts.map((part, i) => {
      const type = selectorType(part);
      this.#need(part);
      this.add(loadOf(part, i === 0 ? REGISTER : word));
      word += align(type.size) / 4;
      return type;
    });
  }

  /** Loads one part, or of an address its first bytes. */
  load(selector: Selector, length?: number): void {
    if (selector.kind === "bitwise") return this.#bitwise(selector);
    this.#need(selector);
    const load = loadOf(selector, REGISTER);
    this.add(length === undefined ? load : { ...load, length } as Expression);
  }

  /** Masks and flips bits of the register; what is done one after the other is done at once. */
  bits(mask: Uint8Array, xor: Uint8Array): void {
    const last = this.expressions.at(-1);
    if (last?.kind === "bitwise" && last.mask !== undefined && last.xor !== undefined) {
      this.expressions.pop();
      const before = last.xor;
      const both = last.mask.map((byte, i) => byte & mask[i]);
      return this.bits(both, xor.map((byte, i) => byte ^ before[i] & mask[i]));
    }
    this.add({
      kind: "bitwise",
      sreg: REGISTER,
      dreg: REGISTER,
      length: mask.length,
      mask,
      xor,
      op: "mask-xor",
    });
  }

  /** Asks for TCP, where the rule did not; nft does so before all else. */
  needTcp(): void {
    if (this.#transport !== TRANSPORTS.tcp) {
      this.expressions.unshift(...transportIs(TRANSPORTS.tcp));
    }
  }

  #bitwise({ operator, left, right }: Bitwise): void {
    const type = selectorType(left as Selector);
    this.load(left as Selector);
    if (operator === "<<" || operator === ">>") return this.#shift(operator, right as Value, type);
    const bits = valueBytes(right as Value, [type]);
    const ones = new Uint8Array(type.size).fill(0xff);
    if (operator === "&") return this.bits(bits, new Uint8Array(type.size));
    this.bits(operator === "|" ? bits.map((byte) => ~byte) : ones, bits);
  }

  #shift(operator: "<<" | ">>", by: Value, type: DataType): void {
    if (by.kind !== "number") throw new CompileError("a shift by something else than a number");
    this.add({
      kind: "bitwise",
      sreg: REGISTER,
      dreg: REGISTER,
      length: type.size,
      op: operator === "<<" ? "lshift" : "rshift",
      data: numberBytes(by.value, { ...type, size: 4, byteOrder: HOST_ORDER }),
    });
  }

  /** Asks for what a header's field needs the packet to be. */
  #need(selector: Selector): void {
    if (selector.kind !== "payload" || fieldOf(selector).base !== "transport") return;
    const number = TRANSPORTS[selector.protocol];
    if (number === undefined || this.#transport === number) return;
    this.#transport = number;
    this.expressions.push(...transportIs(number));
  }
}

function transportIs(number: number): Expression[] {
  return [
    loadOf({ kind: "meta", key: "l4proto" }, REGISTER),
    { kind: "cmp", sreg: REGISTER, op: "eq", data: Uint8Array.of(number) },
  ];
}
