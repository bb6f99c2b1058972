/**
 * What a rule has loaded into the kernel's registers, in the language.
 *
 * @module
 */

import type { DataType } from "../../../netlink/netfilter/nftables/datatypes.ts";
import { align } from "../../../netlink/writer.ts";
import type { Expression, Selector } from "../language/ast.ts";
import type { Held } from "./comparisons.ts";
import { bytesValue } from "./values.ts";

/** A key: one selector, or several that are joined, and their types. */
export interface Key {
  readonly selector: Selector;
  readonly types: readonly DataType[];
}

/** The registers of one rule. */
export class Registers {
  /** By the first word of a register. */
  readonly #held = new Map<number, Held>();

  hold(register: number, held: Held): void {
    this.#held.set(word(register), held);
  }

  /** What is there is not known any more. */
  drop(register: number): void {
    this.#held.delete(word(register));
  }

  /** Nothing is known of any of them. */
  clear(): void {
    this.#held.clear();
  }

  get(register: number | undefined): Held | null {
    return register === undefined ? null : this.#held.get(word(register)) ?? null;
  }

  /** What a register holds, as a value of a type where it holds bytes. */
  value(register: number | undefined, type: DataType): Expression | null {
    const held = this.get(register);
    if (held === null) return null;
    if (held.expression.kind !== "bytes") return held.expression;
    const { bytes } = held.expression;
    return bytes.length === type.size ? bytesValue(bytes, [type]) : null;
  }

  /** The parts that lie one behind the other from a register on, of so many bytes together. */
  key(register: number | undefined, size: number): Key | null {
    if (register === undefined) return null;
    const parts: Selector[] = [];
    const types: DataType[] = [];
    for (let at = 0; at < size;) {
      const held = this.#held.get(word(register) + at / 4);
      if (held === undefined || held.expression.kind === "bytes") return null;
      const { expression, type } = held;
      if (!isSelector(expression) || held.size !== type.size || held.mask !== undefined) {
        return null;
      }
      parts.push(expression);
      types.push(type);
      at += align(held.size);
    }
    if (parts.length === 0) return null;
    return { selector: parts.length === 1 ? parts[0] : { kind: "concat", parts }, types };
  }
}

/** Whether both are the same place, one word apart for each step. */
export function isBehind(register: number | undefined, other: number | undefined): boolean {
  return register !== undefined && other !== undefined && word(register) === word(other) + 1;
}

/** Registers of 16 bytes share their space with those of 4, of which the first is 8. */
function word(register: number): number {
  return register >= 1 && register <= 4 ? 8 + 4 * (register - 1) : register;
}

/** Whether an expression is taken from the packet, its connection, chance or the node. */
export function isSelector(expression: Expression): expression is Selector {
  switch (expression.kind) {
    case "payload":
    case "raw":
    case "meta":
    case "ct":
    case "fib":
    case "numgen":
    case "hash":
    case "bitwise":
    case "map":
      return true;
    default:
      return false;
  }
}
