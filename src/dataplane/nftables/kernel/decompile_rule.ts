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
import type {
  AnonymousSet,
  Expression as LanguageExpression,
  Match,
  Rule,
  Selector,
  SetReference,
  Statement,
  TableFamily,
  Value,
} from "../language/ast.ts";
import { HOST_ORDER, NETWORK_ORDER } from "../../../netlink/netfilter/nftables/userdata.ts";
import { bitsOf, comparison, type Held, OPERATORS } from "./comparisons.ts";
import { natOf, ownNatOf } from "./decompile_nat.ts";
import { decompileElements, type ElementTypes, statefulStatement, verdictOf } from "./elements.ts";
import { extensionStatement } from "./extensions.ts";
import { isSelector, Registers } from "./registers.ts";
import { rejectOf } from "./rejects.ts";
import { type Load, loadedBy, TRANSPORTS } from "./selectors.ts";
import { logStatement, objectStatement, unknownText } from "./stateful_texts.ts";
import { bytesNumber, bytesValue, integer } from "./values.ts";

/** What a rule's table has to say about it. */
export interface TableContext {
  readonly family: TableFamily;
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
/** What a rule has asked the packet to be, and the statement that did. */
interface Dependency {
  readonly name: string;
  readonly statement: Statement;
}

/** What iptables-nft puts into rules that it cannot say otherwise. */
const EXTENSIONS = new Set(["match", "target"]);

/** What a transport is always in. */
const IMPLIED: Readonly<Record<string, string>> = { icmp: "ip", icmpv6: "ip6" };

const PROTOCOL_NAMES = new Map(Object.entries(TRANSPORTS).map(([name, number]) => [number, name]));

class RuleDecompiler {
  readonly #context: TableContext;
  readonly #statements: Statement[] = [];
  readonly #registers = new Registers();
  #network: Dependency | null = null;
  #transport: Dependency | null = null;

  constructor(context: TableContext) {
    this.#context = context;
  }

  finish(): Statement[] {
    return this.#statements;
  }

  expression(expression: Expression): void {
    const statement = this.#statementOf(expression);
    if (statement === undefined) return;
    // What is not known may have changed a register, or any.
    if (statement === null && "dreg" in expression) this.#registers.drop(expression.dreg ?? 0);
    if (statement === null && expression.kind === "unknown") this.#registers.clear();
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
          ? this.#mangle(expression as ExpressionOf<"payload" | "meta" | "ct">)
          : this.#load(expression);
      case "hash":
        return this.#hash(expression);
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
        return natOf(expression, this.#registers, this.#context.family);
      case "masq":
      case "redir":
        return ownNatOf(expression, this.#registers);
      case "reject": {
        const rejected = rejectOf(expression, this.#context.family, this.#networkName);
        if (rejected?.type === "tcp reset") this.#dropDependency("tcp");
        return rejected === undefined ? null : { kind: "reject", with: rejected };
      }
      case "dynset":
        return this.#update(expression);
      case "counter":
      case "limit":
      case "quota":
      case "connlimit":
        return statefulStatement(expression);
      case "objref":
        return objectStatement(expression);
      case "log":
        return logStatement(expression);
      case "notrack":
        return { kind: "notrack" };
      case "unknown":
        return EXTENSIONS.has(expression.name) && expression.data !== null
          ? extensionStatement(expression.data, this.#context.family)
          : null;
      default:
        return null;
    }
  }

  /** The protocol below the transports, as far as the rule or its table's family says. */
  get #networkName(): "ip" | "ip6" | null {
    const { family } = this.#context;
    if (family === "ip" || family === "ip6") return family;
    const name = this.#network?.name;
    return name === "ip" || name === "ip6" ? name : null;
  }

  #loaded(expression: Expression) {
    const protocols = {
      network: this.#networkName,
      transport: this.#transport?.name ?? null,
    };
    return loadedBy(expression, protocols);
  }

  #load(expression: Load): null | undefined {
    const { dreg } = expression;
    if (dreg === undefined) return null;
    const loaded = this.#loaded(expression);
    if (loaded === null) return null;
    if (loaded.selector.kind === "payload") this.#dropDependency(loaded.selector.protocol);
    this.#registers.hold(dreg, {
      expression: loaded.selector,
      type: loaded.type,
      size: loaded.size,
    });
    return undefined;
  }

  /** A field of a protocol says by its name what the packet has to be. */
  #dropDependency(protocol: string): void {
    for (const dependency of [this.#transport, this.#network]) {
      if (dependency === null) continue;
      const { name, statement } = dependency;
      if (name !== protocol && name !== IMPLIED[protocol]) continue;
      const at = this.#statements.indexOf(statement);
      if (at >= 0) this.#statements.splice(at, 1);
    }
  }

  #hash({ sreg, dreg, length, modulus = 0, seed, offset = 0, type }: ExpressionOf<"hash">) {
    if (dreg === undefined) return null;
    const of = type === "symhash" ? null : this.#registers.key(sreg, length ?? 0);
    if (type !== "symhash" && of === null) return null;
    const selector = of?.selector ?? null;
    this.#registers.hold(dreg, {
      expression: { kind: "hash", of: selector, modulus, seed: seed ?? null, offset },
      type: NUMBER,
      size: NUMBER.size,
    });
    return undefined;
  }

  #bitwise(expression: ExpressionOf<"bitwise">): null | undefined {
    const { sreg, dreg, mask, xor, op = "mask-xor" } = expression;
    const held = this.#registers.get(sreg);
    if (held === null || dreg === undefined || held.mask !== undefined) return null;
    if (held.expression.kind === "bytes") return null;
    if (op === "lshift" || op === "rshift") return this.#shift(held, expression);
    if (op !== "mask-xor" || mask === undefined || xor === undefined) return null;
    const bits = bitsOf(held, mask, xor);
    if (bits === null) return null;
    this.#registers.hold(dreg, bits);
    return undefined;
  }

  #shift(held: Held, { dreg, op, data }: ExpressionOf<"bitwise">): null | undefined {
    if (data?.length !== NUMBER.size || dreg === undefined) return null;
    const right: Value = { kind: "number", value: bytesNumber(data, NUMBER) };
    const operator = op === "lshift" ? "<<" : ">>";
    const left = held.expression as LanguageExpression;
    this.#registers.hold(dreg, {
      ...held,
      expression: { kind: "bitwise", operator, left, right },
    });
    return undefined;
  }

  /** Comparing numbers in their order wants them in network order. */
  #byteorder({ sreg, dreg, op, length }: ExpressionOf<"byteorder">): null | undefined {
    const held = this.#registers.get(sreg);
    if (held === null || dreg === undefined || op !== "hton" || length !== held.size) return null;
    this.#registers.hold(dreg, { ...held, type: { ...held.type, byteOrder: NETWORK_ORDER } });
    return undefined;
  }

  #immediate({ dreg, data }: ExpressionOf<"immediate">): Statement | null | undefined {
    if (data?.verdict !== undefined) {
      const verdict = verdictOf(data.verdict);
      return verdict === null ? null : { kind: "verdict", verdict };
    }
    if (dreg === undefined || data?.value === undefined) return null;
    const bytes = data.value;
    this.#registers.hold(dreg, {
      expression: { kind: "bytes", bytes },
      type: BYTES,
      size: bytes.length,
    });
    return undefined;
  }

  #compare({ sreg, op, data }: ExpressionOf<"cmp">): Statement | null | undefined {
    const held = this.#registers.get(sreg);
    if (held === null || typeof op !== "string" || data === undefined) return null;
    const left = held.expression;
    if (left.kind === "bytes" || !isSelector(left)) return null;
    const range = this.#upperEnd(left, held, op, data);
    if (range) return undefined;
    const match = comparison(held, left, op, data);
    if (match !== null) this.#learn(match, data);
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

  #learn(match: Match, data: Uint8Array): void {
    const { left, operator } = match;
    if (operator !== "is") return;
    if (isTransport(left)) {
      const name = PROTOCOL_NAMES.get(data[0]);
      this.#transport = name === undefined ? null : { name, statement: match };
    } else if (isNetwork(left)) {
      const name = NETWORKS.get(data.toHex());
      this.#network = name === undefined ? null : { name, statement: match };
    }
  }

  #range({ sreg, op, from, to }: ExpressionOf<"range">): Statement | null {
    const held = this.#registers.get(sreg);
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
    const key = this.#registers.key(sreg, used?.keySize ?? 0);
    if (used === undefined || key === null) return null;
    const map = setValue(used, key.types);
    if (dreg === undefined) {
      const operator = (flags & LOOKUP_INVERTED) !== 0 ? "!=" : "is";
      return { kind: "match", left: key.selector, operator, right: map };
    }
    if (dreg === 0) return { kind: "vmap", key: key.selector, map };
    const types = dataTypes(used);
    if (types === null || types === "verdict" || types.length > 2) return null;
    this.#registers.hold(dreg, {
      expression: { kind: "map", key: key.selector, map },
      type: types[0],
      size: types[0].size,
      pair: types.length === 2,
    });
    return undefined;
  }

  #mangle(expression: ExpressionOf<"payload" | "meta" | "ct">): Statement | null {
    const loaded = this.#loaded(expression);
    const value = loaded === null ? null : this.#registers.value(expression.sreg, loaded.type);
    if (loaded === null || value === null) return null;
    if (loaded.selector.kind === "payload") this.#dropDependency(loaded.selector.protocol);
    return { kind: "mangle", target: loaded.selector, value };
  }

  #update(expression: ExpressionOf<"dynset">): Statement | null {
    const { set, op, keyReg, dataReg, timeout = 0, flags = 0 } = expression;
    const used = this.#context.sets.get(set ?? "");
    const key = this.#registers.key(keyReg, used?.keySize ?? 0);
    const inverted = (flags & DYNSET_INVERTED) !== 0;
    if (set === undefined || typeof op !== "string" || key === null || inverted) return null;
    const types = used === undefined ? null : dataTypes(used);
    const data = dataReg === undefined || !Array.isArray(types) || types.length !== 1
      ? null
      : this.#registers.value(dataReg, types[0]);
    if (dataReg !== undefined && data === null) return null;
    const kept = expression.expressions ?? (expression.expression ? [expression.expression] : []);
    return {
      kind: "update",
      operation: op,
      set,
      key: key.selector,
      data,
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

const NUMBER = integer(4, HOST_ORDER);

/** NFPROTO_* and ETH_P_*, as they are compared. */
const NETWORKS = new Map([["02", "ip"], ["0a", "ip6"], ["0800", "ip"], ["86dd", "ip6"]]);

function isNetwork(selector: Selector): boolean {
  if (selector.kind === "meta") return selector.key === "nfproto" || selector.key === "protocol";
  return selector.kind === "payload" && selector.protocol === "ether" && selector.field === "type";
}

function isTransport(selector: Selector): boolean {
  return selector.kind === "meta" ? selector.key === "l4proto" : selector.kind === "payload" &&
    (selector.field === "protocol" || selector.field === "nexthdr");
}
