/**
 * Rules as the kernel's expressions, the way nft makes them: what is compared is loaded into
 * register 1, parts of a concatenation into those that follow.
 *
 * @module
 */

import { type DataType, keyLayout } from "../../../netlink/netfilter/nftables/datatypes.ts";
import { VERDICT_TYPE } from "../../../netlink/netfilter/nftables/datatypes.ts";
import type { Expression, ExpressionOf } from "../../../netlink/netfilter/nftables/expression.ts";
import {
  FIB_FLAGS,
  LOOKUP_INVERTED,
  NAT_FLAGS,
  SET_FLAGS,
} from "../../../netlink/netfilter/nftables/names.ts";
import type { SetElement, SetSpec } from "../../../netlink/netfilter/nftables/objects.ts";
import {
  HOST_ORDER,
  NETWORK_ORDER,
  NO_ORDER,
} from "../../../netlink/netfilter/nftables/userdata.ts";
import { align } from "../../../netlink/writer.ts";
import type {
  AnonymousSet,
  Bitwise,
  Expression as LanguageExpression,
  Fib,
  Mangle,
  Match,
  Nat,
  Rule,
  Selector,
  SetReference,
  SetUpdate,
  Statement,
  Value,
  VerdictMap,
} from "../language/ast.ts";
import {
  compileElements,
  compileStateful,
  type ElementTypes,
  isInterval,
  leadingElement,
  verdictData,
} from "./elements.ts";
import { networkBounds, prefixMask } from "./intervals.ts";
import { rejectExpression } from "./rejects.ts";
import { fieldOf, loadOf, selectorType, TRANSPORTS } from "./selectors.ts";
import { CompileError, isFlags, numberBytes, typeNamed, valueBytes } from "./values.ts";

/** The register where values are loaded, and the first of those of four bytes that share it. */
const REGISTER = 1;
const FIRST_WORD = 8;
/** Where nft puts the port of a translation. */
const PORT_REGISTER = 2;

/** Where rules are to stand. */
export interface RuleContext {
  readonly family: "ip" | "ip6";
  readonly table: string;
  /** A name for a set that has none, such as no other has in the table. */
  readonly setName: (kind: "set" | "map") => string;
}

/** A set without a name of its own that a rule looks into. */
export interface RuleSet {
  readonly set: SetSpec;
  readonly elements: readonly SetElement[];
}

/** A rule as the kernel has it. */
export interface CompiledRule {
  /** To be made before it. */
  readonly sets: readonly RuleSet[];
  readonly expressions: readonly Expression[];
}

/** The expressions of a rule. Throws CompileError on what cannot be said here. */
export function compileRule(rule: Rule, context: RuleContext): CompiledRule {
  const compiler = new RuleCompiler(context);
  for (const statement of rule.statements) compiler.statement(statement);
  return compiler;
}

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

class RuleCompiler implements CompiledRule {
  readonly sets: RuleSet[] = [];
  readonly expressions: Expression[] = [];
  readonly #context: RuleContext;
  /** The transport that the packet has, as far as the rule asked. */
  #transport: number | null = null;

  constructor(context: RuleContext) {
    this.#context = context;
  }

  statement(statement: Statement): void {
    switch (statement.kind) {
      case "match":
        return this.#match(statement);
      case "verdict":
        return this.#add({
          kind: "immediate",
          dreg: 0,
          data: { verdict: verdictData(statement.verdict) },
        });
      case "vmap":
        return this.#verdictMap(statement);
      case "mangle":
        return this.#mangle(statement);
      case "nat":
        return this.#nat(statement);
      case "reject":
        if (statement.with?.type === "tcp reset") {
          this.#needTcp();
          return this.#add({ kind: "reject", type: "tcp reset", code: 0 });
        }
        return this.#add(rejectExpression(statement.with, this.#context.family));
      case "update":
        return this.#update(statement);
      case "counter":
        return this.#add(
          statement.name === null
            ? compileStateful(statement) as Expression
            : { kind: "objref", type: "counter", name: statement.name },
        );
      case "notrack":
        return this.#add({ kind: "notrack" });
      default:
        throw new CompileError(`a ${statement.kind} cannot be said to the kernel by netlink`);
    }
  }

  #add(expression: Expression): void {
    this.expressions.push(expression);
  }

  #match({ left, operator, right }: Match): void {
    const op = COMPARISONS[operator];
    if (right.kind === "reference" || right.kind === "set") {
      return this.#lookup(left, right, op === "neq");
    }
    if (right.kind === "network") return this.#network(left, right, op);
    if (left.kind === "fib" && right.kind === "symbol" && PRESENCE.has(right.name)) {
      return this.#presence(left, right, op);
    }
    const type = left.kind === "concat" ? null : selectorType(left);
    if (left.kind === "concat" || type === null) {
      throw new CompileError("a concatenation can only be looked up in a set");
    }
    if (right.kind === "string" && right.text.endsWith("*")) {
      const start = new TextEncoder().encode(right.text.slice(0, -1));
      this.#load(left);
      return this.#add({ kind: "cmp", sreg: REGISTER, op, data: start });
    }
    this.#load(left);
    if (right.kind === "range") return this.#range(right.from, right.to, type, op);
    if (isFlags(type) && left.kind !== "bitwise" && operator === "is") {
      return this.#anyFlag(right, type);
    }
    const ordered = op === "eq" || op === "neq" ? type : this.#ordered(type);
    this.#add({ kind: "cmp", sreg: REGISTER, op, data: valueBytes(right, [ordered]) });
    if (left.kind === "meta" && left.key === "l4proto" && op === "eq") {
      this.#transport = valueBytes(right, [type])[0];
    }
  }

  /** Whether there is a route at all. */
  #presence(left: Fib, right: Value, op: string): void {
    if (op !== "eq" && op !== "neq") throw new CompileError(`a route is compared by ${op}`);
    const load = loadOf(left, REGISTER) as ExpressionOf<"fib">;
    this.#add({ ...load, result: "oif", flags: (load.flags ?? 0) | FIB_FLAGS.present });
    const type = selectorType({ ...left, result: "check" });
    this.#add({ kind: "cmp", sreg: REGISTER, op, data: valueBytes(right, [type]) });
  }

  #anyFlag(flags: Value, type: DataType): void {
    const zero = new Uint8Array(type.size);
    this.#bits(valueBytes(flags, [type]), zero);
    this.#add({ kind: "cmp", sreg: REGISTER, op: "neq", data: zero });
  }

  #range(first: Value, last: Value, type: DataType, op: string): void {
    const ordered = this.#ordered(type);
    const from = valueBytes(first, [ordered]);
    const to = valueBytes(last, [ordered]);
    if (op === "neq") return this.#add({ kind: "range", sreg: REGISTER, op: "neq", from, to });
    if (op !== "eq") throw new CompileError(`a range is compared by ${op}`);
    this.#add({ kind: "cmp", sreg: REGISTER, op: "gte", data: from });
    this.#add({ kind: "cmp", sreg: REGISTER, op: "lte", data: to });
  }

  /** Has the register hold a number in the order in which bytes compare as numbers do. */
  #ordered(type: DataType): DataType {
    if (type.byteOrder !== HOST_ORDER || type.size === 1) return type;
    this.#add({
      kind: "byteorder",
      sreg: REGISTER,
      dreg: REGISTER,
      op: "hton",
      length: type.size,
      size: type.size,
    });
    return { ...type, byteOrder: NETWORK_ORDER };
  }

  /** Of a network that ends at a byte, only those bytes are loaded. */
  #network(left: Selector, network: Extract<Value, { kind: "network" }>, op: string): void {
    if (op !== "eq" && op !== "neq") throw new CompileError(`a network is compared by ${op}`);
    const { from } = networkBounds(network);
    const { prefix } = network;
    if (left.kind === "payload" && prefix % 8 === 0 && prefix > 0) {
      const length = prefix / 8;
      this.#load(left, length);
      return this.#add({ kind: "cmp", sreg: REGISTER, op, data: from.slice(0, length) });
    }
    this.#load(left);
    this.#bits(prefixMask(prefix, from.length), new Uint8Array(from.length));
    this.#add({ kind: "cmp", sreg: REGISTER, op, data: from });
  }

  /** What is done to bits one after the other is done at once. */
  #bits(mask: Uint8Array, xor: Uint8Array): void {
    const last = this.expressions.at(-1);
    if (last?.kind === "bitwise" && last.mask !== undefined && last.xor !== undefined) {
      this.expressions.pop();
      const before = last.xor;
      const both = last.mask.map((byte, i) => byte & mask[i]);
      return this.#bits(both, xor.map((byte, i) => byte ^ before[i] & mask[i]));
    }
    this.#add({
      kind: "bitwise",
      sreg: REGISTER,
      dreg: REGISTER,
      length: mask.length,
      mask,
      xor,
      op: "mask-xor",
    });
  }

  #verdictMap({ key, map }: VerdictMap): void {
    const types = this.#loadKey(key);
    const set = this.#setName(map, { types, data: "verdict" });
    this.#add({ kind: "lookup", set, sreg: REGISTER, dreg: 0 });
  }

  #lookup(left: Selector, set: SetReference | AnonymousSet, inverted: boolean): void {
    const types = this.#loadKey(left);
    const name = this.#setName(set, { types, data: null });
    const flags = inverted ? LOOKUP_INVERTED : undefined;
    this.#add({ kind: "lookup", set: name, sreg: REGISTER, flags });
  }

  /** The name of a set, which is made when it has none. */
  #setName(
    set: SetReference | AnonymousSet,
    { types, data }: { types: readonly DataType[]; data: ElementTypes["data"] },
  ): string {
    if (set.kind === "reference") return set.name;
    const { family, table, setName } = this.#context;
    const interval = set.elements.some(({ key }) => isInterval(key));
    const layout = keyLayout(types);
    if (interval && types.length === 1 && layout.byteOrder === HOST_ORDER) {
      throw new CompileError(`intervals of ${types[0].name}, which the kernel cannot order`);
    }
    const compiled = compileElements(set.elements, { key: types, data, interval });
    const elements = interval && types.length === 1
      ? [...leadingElement(compiled), ...compiled]
      : compiled;
    const name = setName(data === null ? "set" : "map");
    const isMap = data !== null;
    const dataLayout = isMap && data !== "verdict" ? keyLayout(data) : null;
    this.sets.push({
      set: {
        family,
        table,
        set: name,
        flags: SET_FLAGS.anonymous | SET_FLAGS.constant | (isMap ? SET_FLAGS.map : 0) |
          (interval ? SET_FLAGS.interval | (types.length > 1 ? SET_FLAGS.concat : 0) : 0),
        keyType: layout.id,
        keySize: layout.size,
        ...(data === "verdict" ? { dataType: VERDICT_TYPE } : {}),
        ...(dataLayout === null ? {} : { dataType: dataLayout.id, dataSize: dataLayout.size }),
        size: elements.length,
        ...(interval && types.length > 1 ? { fields: types.map(({ size }) => size) } : {}),
        userData: {
          keyByteOrder: layout.byteOrder,
          ...(isMap ? { dataByteOrder: dataLayout?.byteOrder ?? NO_ORDER } : {}),
        },
      },
      elements,
    });
    return name;
  }

  #mangle({ target, value }: Mangle): void {
    if (target.kind !== "meta" && target.kind !== "ct") {
      throw new CompileError(`a ${target.kind} cannot be set by netlink`);
    }
    const type = selectorType(target);
    this.#value(value, [type], REGISTER);
    const { dreg: _, ...set } = loadOf(target, 0);
    this.#add({ ...set, sreg: REGISTER } as Expression);
  }

  /** Has a register hold what an expression says. */
  #value(expression: LanguageExpression, types: readonly DataType[], register: number): void {
    switch (expression.kind) {
      case "payload":
      case "meta":
      case "ct":
      case "fib":
      case "numgen":
      case "bitwise":
        return this.#load(expression);
      case "map": {
        const keyTypes = this.#loadKey(expression.key);
        const set = this.#setName(expression.map, { types: keyTypes, data: types });
        return this.#add({ kind: "lookup", set, sreg: REGISTER, dreg: register });
      }
      default: {
        const value = valueBytes(expression as Value, types);
        return this.#add({ kind: "immediate", dreg: register, data: { value } });
      }
    }
  }

  #nat({ type, family, address, port, pair, flags }: Nat): void {
    if (pair) throw new CompileError("an address with its port from a map");
    const inFamily = family ?? this.#context.family;
    if (type === "masquerade" || type === "redirect") {
      if (port !== null) this.#value(port, [typeNamed("inet_service")], REGISTER);
      const portMin = port === null ? undefined : REGISTER;
      const bits = flags.length === 0 ? undefined : natFlags(flags);
      return this.#add({ kind: type === "masquerade" ? "masq" : "redir", portMin, flags: bits });
    }
    if (address !== null) {
      this.#value(address, [typeNamed(inFamily === "ip" ? "ipv4_addr" : "ipv6_addr")], REGISTER);
    }
    const portMin = port === null ? undefined : address === null ? REGISTER : PORT_REGISTER;
    if (port !== null) this.#value(port, [typeNamed("inet_service")], portMin!);
    this.#add({
      kind: "nat",
      type: type === "dnat" ? "dnat" : "snat",
      family: inFamily === "ip" ? 2 : 10,
      addressMin: address === null ? undefined : REGISTER,
      portMin,
      flags: flags.length === 0 ? undefined : natFlags(flags),
    });
  }

  #update({ operation, set, key, data, timeout, statements }: SetUpdate): void {
    if (data !== null) throw new CompileError("a map that packets change");
    this.#loadKey(key);
    const expressions = statements.map(compileStateful);
    this.#add({
      kind: "dynset",
      set,
      op: operation,
      keyReg: REGISTER,
      timeout: timeout ?? undefined,
      expression: expressions.length === 1 ? expressions[0] : undefined,
      expressions: expressions.length > 1 ? expressions : undefined,
    });
  }

  /** Loads a key, part after part, and tells its types. */
  #loadKey(key: Selector): readonly DataType[] {
    if (key.kind !== "concat") {
      this.#load(key);
      return [selectorType(key)];
    }
    let word = FIRST_WORD;
    return key.parts.map((part, i) => {
      const type = selectorType(part);
      this.#need(part);
      this.#add(loadOf(part, i === 0 ? REGISTER : word));
      word += align(type.size) / 4;
      return type;
    });
  }

  /** Loads one part, or of an address its first bytes. */
  #load(selector: Selector, length?: number): void {
    if (selector.kind === "bitwise") return this.#bitwise(selector);
    this.#need(selector);
    const load = loadOf(selector, REGISTER);
    this.#add(length === undefined ? load : { ...load, length } as Expression);
  }

  #bitwise({ operator, left, right }: Bitwise): void {
    const type = selectorType(left as Selector);
    this.#load(left as Selector);
    if (operator === "<<" || operator === ">>") {
      if (right.kind !== "number") {
        throw new CompileError("a shift by something else than a number");
      }
      return this.#add({
        kind: "bitwise",
        sreg: REGISTER,
        dreg: REGISTER,
        length: type.size,
        op: operator === "<<" ? "lshift" : "rshift",
        data: numberBytes(right.value, { ...type, size: 4, byteOrder: HOST_ORDER }),
      });
    }
    const bits = valueBytes(right as Value, [type]);
    const ones = new Uint8Array(type.size).fill(0xff);
    if (operator === "&") return this.#bits(bits, new Uint8Array(type.size));
    this.#bits(operator === "|" ? bits.map((byte) => ~byte) : ones, bits);
  }

  /** Asks for what a header's field needs the packet to be. */
  #need(selector: Selector): void {
    if (selector.kind !== "payload" || fieldOf(selector).base !== "transport") return;
    const number = TRANSPORTS[selector.protocol];
    if (number !== undefined) this.#needTransport(number);
  }

  #needTransport(number: number): void {
    if (this.#transport === number) return;
    this.#transport = number;
    this.expressions.push(...transportIs(number));
  }

  /** nft asks for it before all else. */
  #needTcp(): void {
    if (this.#transport !== TRANSPORTS.tcp) {
      this.expressions.unshift(...transportIs(TRANSPORTS.tcp));
    }
  }
}

function transportIs(number: number): Expression[] {
  return [
    loadOf({ kind: "meta", key: "l4proto" }, REGISTER),
    { kind: "cmp", sreg: REGISTER, op: "eq", data: Uint8Array.of(number) },
  ];
}

const FLAG_BITS: Readonly<Record<string, number>> = {
  random: NAT_FLAGS.random,
  "fully-random": NAT_FLAGS.fullyRandom,
  persistent: NAT_FLAGS.persistent,
};

function natFlags(names: readonly string[]): number {
  return names.reduce((bits, name) => {
    const bit = FLAG_BITS[name];
    if (bit === undefined) throw new CompileError(`${name} is no flag of a translation`);
    return bits | bit;
  }, 0);
}

/** The names of a translation's flags, in nft's order. */
export function natFlagNames(bits: number): string[] {
  return Object.entries(FLAG_BITS).filter(([, bit]) => (bits & bit) !== 0).map(([name]) => name);
}
