/**
 * Rules from the kernel's expressions. What is not known becomes an `unknown` statement, which is
 * the same as no rule that we make.
 *
 * @module
 */

import {
  type DataType,
  typesOf,
  VERDICT_TYPE,
} from "../../../netlink/netfilter/nftables/datatypes.ts";
import type { Expression, ExpressionOf } from "../../../netlink/netfilter/nftables/expression.ts";
import {
  DYNSET_INVERTED,
  LOOKUP_INVERTED,
  SET_FLAGS,
} from "../../../netlink/netfilter/nftables/names.ts";
import type { FilledSet } from "../../../netlink/netfilter/nftables/nftables.ts";
import type { Rule as KernelRule } from "../../../netlink/netfilter/nftables/objects.ts";
import { align } from "../../../netlink/writer.ts";
import type {
  AnonymousSet,
  Expression as LanguageExpression,
  Match,
  Rule,
  Selector,
  SetReference,
  Statement,
  Value,
} from "../language/ast.ts";
import { NETWORK_ORDER } from "../../../netlink/netfilter/nftables/userdata.ts";
import { bitsOf, comparison, type Held, OPERATORS } from "./comparisons.ts";
import { natFlagNames } from "./compile_rule.ts";
import { decompileElements, type ElementTypes, statefulStatement, verdictOf } from "./elements.ts";
import { rejectOf } from "./rejects.ts";
import { loadedBy, TRANSPORTS } from "./selectors.ts";
import { limitStatement, logStatement, unknownText } from "./stateful_texts.ts";
import { bytesValue, typeNamed } from "./values.ts";

/** What a rule's table has to say about it. */
export interface TableContext {
  readonly family: "ip" | "ip6";
  readonly sets: ReadonlyMap<string, FilledSet>;
}

/** The rule in the language. */
export function decompileRule(rule: KernelRule, context: TableContext): Rule {
  const decompiler = new RuleDecompiler(context);
  for (const expression of rule.expressions) decompiler.expression(expression);
  return {
    statements: decompiler.finish(),
    comment: rule.comment ?? null,
    handle: rule.handle,
    line: null,
  };
}

const BYTES = { name: "bytes", id: 0, size: 0, byteOrder: NETWORK_ORDER } as const;
const PROTOCOL_NAMES = new Map(Object.entries(TRANSPORTS).map(([name, number]) => [number, name]));

class RuleDecompiler {
  readonly #context: TableContext;
  readonly #statements: Statement[] = [];
  /** By the first word of a register. */
  readonly #held = new Map<number, Held>();
  /** The transport that the rule asked for, and the statement that did. */
  #transport: { readonly name: string; readonly statement: Statement } | null = null;

  constructor(context: TableContext) {
    this.#context = context;
  }

  finish(): Statement[] {
    return this.#statements;
  }

  expression(expression: Expression): void {
    const statement = this.#statementOf(expression);
    if (statement === undefined) return;
    // What is not known may have changed the register.
    if (statement === null && "dreg" in expression) this.#held.delete(word(expression.dreg ?? 0));
    this.#statements.push(statement ?? { kind: "unknown", text: unknownText(expression) });
  }

  /** The statement that an expression makes; undefined for none, null for one not known. */
  #statementOf(expression: Expression): Statement | null | undefined {
    switch (expression.kind) {
      case "payload":
      case "meta":
      case "ct":
      case "fib":
      case "numgen":
        return "sreg" in expression && expression.sreg !== undefined
          ? this.#mangle(expression as ExpressionOf<"meta" | "ct">)
          : this.#load(expression);
      case "bitwise":
        return this.#bitwise(expression);
      case "byteorder":
        return this.#byteorder(expression);
      case "immediate":
        return this.#immediate(expression);
      case "cmp":
        return this.#compare(expression);
      case "range":
        return this.#range(expression);
      case "lookup":
        return this.#lookup(expression);
      case "nat":
        return this.#nat(expression);
      case "masq":
      case "redir":
        return this.#portNat(expression);
      case "reject": {
        const rejected = rejectOf(expression, this.#context.family);
        if (rejected?.type === "tcp reset") this.#dropDependency("tcp");
        return rejected === undefined ? null : { kind: "reject", with: rejected };
      }
      case "dynset":
        return this.#update(expression);
      case "counter":
        return statefulStatement(expression);
      case "objref": {
        const { type, name, set } = expression;
        if (type !== "counter" || name === undefined || set !== undefined) return null;
        return { kind: "counter", name, packets: 0, bytes: 0 };
      }
      case "limit":
        return limitStatement(expression);
      case "log":
        return logStatement(expression);
      case "notrack":
        return { kind: "notrack" };
      default:
        return null;
    }
  }

  #load(expression: ExpressionOf<"payload" | "meta" | "ct" | "fib" | "numgen">) {
    const { dreg } = expression;
    if (dreg === undefined) return null;
    const loaded = loadedBy(expression, this.#context.family, this.#transport?.name ?? null);
    if (loaded === null) return null;
    if (loaded.selector.kind === "payload") this.#dropDependency(loaded.selector.protocol);
    this.#held.set(word(dreg), {
      expression: loaded.selector,
      type: loaded.type,
      size: loaded.size,
    });
    return undefined;
  }

  /** A field of a transport says by its name what the packet has to be. */
  #dropDependency(transport: string): void {
    if (this.#transport?.name !== transport) return;
    const at = this.#statements.indexOf(this.#transport.statement);
    if (at >= 0) this.#statements.splice(at, 1);
  }

  #get(register: number | undefined): Held | null {
    return register === undefined ? null : this.#held.get(word(register)) ?? null;
  }

  #bitwise(expression: ExpressionOf<"bitwise">): null | undefined {
    const { sreg, dreg, mask, xor, op = "mask-xor" } = expression;
    const held = this.#get(sreg);
    if (held === null || dreg === undefined || held.mask !== undefined) return null;
    if (held.expression.kind === "bytes") return null;
    if (op !== "mask-xor" || mask === undefined || xor === undefined) return null;
    const bits = bitsOf(held, mask, xor);
    if (bits === null) return null;
    this.#held.set(word(dreg), bits);
    return undefined;
  }

  /** Comparing numbers in their order wants them in network order. */
  #byteorder({ sreg, dreg, op, length }: ExpressionOf<"byteorder">): null | undefined {
    const held = this.#get(sreg);
    if (held === null || dreg === undefined || op !== "hton" || length !== held.size) return null;
    this.#held.set(word(dreg), { ...held, type: { ...held.type, byteOrder: NETWORK_ORDER } });
    return undefined;
  }

  #immediate({ dreg, data }: ExpressionOf<"immediate">): Statement | null | undefined {
    if (data?.verdict !== undefined) {
      const verdict = verdictOf(data.verdict);
      return verdict === null ? null : { kind: "verdict", verdict };
    }
    if (dreg === undefined || data?.value === undefined) return null;
    const bytes = data.value;
    this.#held.set(word(dreg), {
      expression: { kind: "bytes", bytes },
      type: BYTES,
      size: bytes.length,
    });
    return undefined;
  }

  #compare({ sreg, op, data }: ExpressionOf<"cmp">): Statement | null | undefined {
    const held = this.#get(sreg);
    if (held === null || typeof op !== "string" || data === undefined) return null;
    const left = held.expression;
    if (left.kind === "bytes" || !isSelector(left)) return null;
    const range = this.#upperEnd(left, held, op, data);
    if (range) return undefined;
    const match = comparison(held, left, op, data);
    if (match !== null) this.#learnTransport(match, data);
    return match;
  }

  /** `>= a` and `<= b` of one thing, one right after the other, are nft's range. */
  #upperEnd(left: Selector, { type }: Held, op: string, data: Uint8Array): boolean {
    const last = this.#statements.at(-1);
    if (op !== "lte" || last?.kind !== "match" || last.operator !== ">=" || last.left !== left) {
      return false;
    }
    const right: Value = { kind: "range", from: last.right, to: bytesValue(data, [type]) };
    this.#statements.splice(-1, 1, { ...last, operator: "is", right });
    return true;
  }

  #learnTransport(match: Match, data: Uint8Array): void {
    const { left, operator } = match;
    if (operator !== "is" || !isTransport(left)) return;
    const name = PROTOCOL_NAMES.get(data[0]);
    this.#transport = name === undefined ? null : { name, statement: match };
  }

  #range({ sreg, op, from, to }: ExpressionOf<"range">): Statement | null {
    const held = this.#get(sreg);
    if (held === null || from === undefined || to === undefined || typeof op !== "string") {
      return null;
    }
    const { expression: left, type } = held;
    if (left.kind === "bytes" || !isSelector(left) || type.size !== from.length) return null;
    return {
      kind: "match",
      left,
      operator: OPERATORS[op],
      right: { kind: "range", from: bytesValue(from, [type]), to: bytesValue(to, [type]) },
    };
  }

  #lookup({ set, sreg, dreg, flags = 0 }: ExpressionOf<"lookup">): Statement | null | undefined {
    const used = this.#context.sets.get(set ?? "");
    const key = used === undefined ? null : this.#key(sreg, used);
    if (used === undefined || key === null) return null;
    const map = setValue(used, key.types);
    if (dreg === undefined) {
      const operator = (flags & LOOKUP_INVERTED) !== 0 ? "!=" : "is";
      return { kind: "match", left: key.selector, operator, right: map };
    }
    if (dreg === 0) return { kind: "vmap", key: key.selector, map };
    const types = dataTypes(used);
    if (!Array.isArray(types) || types.length !== 1) return null;
    this.#held.set(word(dreg), {
      expression: { kind: "map", key: key.selector, map },
      type: types[0],
      size: types[0].size,
    });
    return undefined;
  }

  /** The parts that lie one behind the other from a register on. */
  #key(
    register: number | undefined,
    { keySize }: FilledSet,
  ): { selector: Selector; types: readonly DataType[] } | null {
    if (register === undefined) return null;
    const parts: Selector[] = [];
    const types: DataType[] = [];
    for (let size = 0; size < keySize;) {
      const held = this.#held.get(word(register) + size / 4);
      if (held === undefined || held.expression.kind === "bytes") return null;
      const { expression, type } = held;
      if (!isSelector(expression) || held.size !== type.size || held.mask !== undefined) {
        return null;
      }
      parts.push(expression);
      types.push(type);
      size += align(held.size);
    }
    if (parts.length === 0) return null;
    return { selector: parts.length === 1 ? parts[0] : { kind: "concat", parts }, types };
  }

  #mangle({ kind, key, sreg }: ExpressionOf<"meta" | "ct">): Statement | null {
    if (kind !== "meta" && kind !== "ct" || typeof key !== "string") return null;
    const target: Selector = kind === "meta" ? { kind, key } : { kind, direction: null, key };
    const loaded = loadedBy({ kind, key, dreg: 1 } as Expression, this.#context.family, null);
    const value = loaded === null ? null : this.#value(sreg, loaded.type);
    return value === null ? null : { kind: "mangle", target, value };
  }

  /** What a register holds, as a value of a type where it holds bytes. */
  #value(register: number | undefined, type: DataType): LanguageExpression | null {
    const held = this.#get(register);
    if (held === null) return null;
    if (held.expression.kind !== "bytes") return held.expression;
    const { bytes } = held.expression;
    return bytes.length === type.size ? bytesValue(bytes, [type]) : null;
  }

  #nat(expression: ExpressionOf<"nat">): Statement | null {
    const { type, family, addressMin, addressMax, portMin, portMax, flags = 0 } = expression;
    if (typeof type !== "string" || family !== 2 && family !== 10) return null;
    // Ends of ranges of addresses or ports.
    if (addressMax !== undefined && addressMax !== addressMin) return null;
    if (portMax !== undefined && portMax !== portMin) return null;
    const addressType = typeNamed(family === 2 ? "ipv4_addr" : "ipv6_addr");
    const address = addressMin === undefined ? null : this.#value(addressMin, addressType);
    const port = portMin === undefined ? null : this.#value(portMin, typeNamed("inet_service"));
    if (addressMin !== undefined && address === null || portMin !== undefined && port === null) {
      return null;
    }
    return {
      kind: "nat",
      type,
      family: null,
      address,
      port,
      pair: false,
      flags: natFlagNames(flags),
    };
  }

  #portNat(
    { kind, portMin, portMax, flags = 0 }: ExpressionOf<"masq" | "redir">,
  ): Statement | null {
    if (portMax !== undefined && portMax !== portMin) return null;
    const port = portMin === undefined ? null : this.#value(portMin, typeNamed("inet_service"));
    if (portMin !== undefined && port === null) return null;
    return {
      kind: "nat",
      type: kind === "masq" ? "masquerade" : "redirect",
      family: null,
      address: null,
      port,
      pair: false,
      flags: natFlagNames(flags),
    };
  }

  #update(expression: ExpressionOf<"dynset">): Statement | null {
    const { set, op, keyReg, dataReg, timeout = 0, flags = 0 } = expression;
    const used = this.#context.sets.get(set ?? "");
    const key = used === undefined ? null : this.#key(keyReg, used);
    const inverted = (flags & DYNSET_INVERTED) !== 0;
    if (set === undefined || typeof op !== "string" || key === null) return null;
    if (dataReg !== undefined || inverted) return null;
    const kept = expression.expressions ?? (expression.expression ? [expression.expression] : []);
    return {
      kind: "update",
      operation: op,
      set,
      key: key.selector,
      data: null,
      timeout: timeout === 0 ? null : timeout,
      statements: kept.map(statefulStatement),
    };
  }
}

/** A set by its name, or by its elements where it has none. */
function setValue(set: FilledSet, key: readonly DataType[]): SetReference | AnonymousSet {
  if ((set.flags & SET_FLAGS.anonymous) === 0) return { kind: "reference", name: set.set };
  const interval = (set.flags & SET_FLAGS.interval) !== 0;
  const types = { key, data: dataTypes(set), interval };
  return { kind: "set", elements: decompileElements(set.elements, types) };
}

/** The types of what a map leads to; null for a set, and for types that are not known. */
export function dataTypes({ flags, dataType }: FilledSet): ElementTypes["data"] {
  if ((flags & SET_FLAGS.map) === 0 || dataType === undefined) return null;
  return dataType === VERDICT_TYPE ? "verdict" : typesOf(dataType);
}

/** Registers of 16 bytes share their space with those of 4, of which the first is 8. */
function word(register: number): number {
  return register >= 1 && register <= 4 ? 8 + 4 * (register - 1) : register;
}

function isTransport(selector: Selector): boolean {
  return selector.kind === "meta" ? selector.key === "l4proto" : selector.kind === "payload" &&
    (selector.field === "protocol" || selector.field === "nexthdr");
}

function isSelector(expression: LanguageExpression): expression is Selector {
  switch (expression.kind) {
    case "payload":
    case "meta":
    case "ct":
    case "fib":
    case "numgen":
    case "bitwise":
    case "map":
      return true;
    default:
      return false;
  }
}
