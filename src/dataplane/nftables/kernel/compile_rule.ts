/**
 * Rules as the kernel's expressions, the way nft makes them.
 *
 * @module
 */

import type { DataType } from "../../../netlink/netfilter/nftables/datatypes.ts";
import type { Expression } from "../../../netlink/netfilter/nftables/expression.ts";
import { LOOKUP_INVERTED, NAT_FLAGS } from "../../../netlink/netfilter/nftables/names.ts";
import type {
  AnonymousSet,
  Expression as LanguageExpression,
  Mangle,
  Match,
  Nat,
  Reject,
  Rule,
  Selector,
  SetReference,
  SetUpdate,
  Statement,
  Value,
  VerdictMap,
} from "../language/ast.ts";
import { compileMatch } from "./compile_match.ts";
import { compileStateful, type ElementTypes, verdictData } from "./elements.ts";
import { ExpressionWriter, REGISTER } from "./loads.ts";
import { rejectExpression } from "./rejects.ts";
import { loadOf, selectorType } from "./selectors.ts";
import { type UnnamedSet, unnamedSet } from "./unnamed_sets.ts";
import { CompileError, typeNamed, valueBytes } from "./values.ts";

/** Where nft puts the port of a translation that has an address. */
const PORT_REGISTER = 2;

/** Where rules are to stand. */
export interface RuleContext {
  readonly family: "ip" | "ip6";
  readonly table: string;
  /** A name for a set that has none, such as no other has in the table. */
  readonly setName: (kind: "set" | "map") => string;
}

/** A rule as the kernel has it. */
export interface CompiledRule {
  /** To be made before it. */
  readonly sets: readonly UnnamedSet[];
  readonly expressions: readonly Expression[];
}

/** The expressions of a rule. Throws CompileError on what cannot be said here. */
export function compileRule(rule: Rule, context: RuleContext): CompiledRule {
  const compiler = new RuleCompiler(context);
  for (const statement of rule.statements) compiler.statement(statement);
  return compiler;
}

class RuleCompiler implements CompiledRule {
  readonly sets: UnnamedSet[] = [];
  readonly #context: RuleContext;
  readonly #out = new ExpressionWriter();

  constructor(context: RuleContext) {
    this.#context = context;
  }

  get expressions(): readonly Expression[] {
    return this.#out.expressions;
  }

  statement(statement: Statement): void {
    switch (statement.kind) {
      case "match":
        return this.#match(statement);
      case "verdict": {
        const data = { verdict: verdictData(statement.verdict) };
        return this.#out.add({ kind: "immediate", dreg: 0, data });
      }
      case "vmap":
        return this.#verdictMap(statement);
      case "mangle":
        return this.#mangle(statement);
      case "nat":
        return this.#nat(statement);
      case "reject":
        return this.#reject(statement);
      case "update":
        return this.#update(statement);
      case "counter":
        return this.#out.add(
          statement.name === null
            ? compileStateful(statement) as Expression
            : { kind: "objref", type: "counter", name: statement.name },
        );
      case "notrack":
        return this.#out.add({ kind: "notrack" });
      default:
        throw new CompileError(`a ${statement.kind} cannot be said to the kernel by netlink`);
    }
  }

  #match(match: Match): void {
    const { left, operator, right } = match;
    if (right.kind !== "reference" && right.kind !== "set") return compileMatch(match, this.#out);
    const types = this.#out.loadKey(left);
    const set = this.#nameOf(right, types, null);
    const flags = operator === "!=" ? LOOKUP_INVERTED : undefined;
    this.#out.add({ kind: "lookup", set, sreg: REGISTER, flags });
  }

  #verdictMap({ key, map }: VerdictMap): void {
    const types = this.#out.loadKey(key);
    const set = this.#nameOf(map, types, "verdict");
    this.#out.add({ kind: "lookup", set, sreg: REGISTER, dreg: 0 });
  }

  /** The name of a set, which is made when it has none. */
  #nameOf(
    set: SetReference | AnonymousSet,
    key: readonly DataType[],
    data: ElementTypes["data"],
  ): string {
    if (set.kind === "reference") return set.name;
    const { family, table, setName } = this.#context;
    const name = setName(data === null ? "set" : "map");
    this.sets.push(unnamedSet(set, { family, table, set: name }, key, data));
    return name;
  }

  #mangle({ target, value }: Mangle): void {
    if (target.kind !== "meta" && target.kind !== "ct") {
      throw new CompileError(`a ${target.kind} cannot be set by netlink`);
    }
    this.#value(value, [selectorType(target)], REGISTER);
    const { dreg: _, ...set } = loadOf(target, 0);
    this.#out.add({ ...set, sreg: REGISTER } as Expression);
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
        return this.#loaded(expression, register);
      case "map": {
        const key = this.#out.loadKey(expression.key);
        const set = this.#nameOf(expression.map, key, types);
        return this.#out.add({ kind: "lookup", set, sreg: REGISTER, dreg: register });
      }
      default: {
        const value = valueBytes(expression as Value, types);
        return this.#out.add({ kind: "immediate", dreg: register, data: { value } });
      }
    }
  }

  #loaded(selector: Selector, register: number): void {
    if (register !== REGISTER) throw new CompileError("a port that is taken from the packet");
    this.#out.load(selector);
  }

  #nat({ type, family, address, port, pair, flags }: Nat): void {
    if (pair) throw new CompileError("an address with its port from a map");
    const portRegister = address === null ? REGISTER : PORT_REGISTER;
    const inFamily = family ?? this.#context.family;
    if (address !== null) {
      this.#value(address, [typeNamed(inFamily === "ip" ? "ipv4_addr" : "ipv6_addr")], REGISTER);
    }
    if (port !== null) this.#value(port, [typeNamed("inet_service")], portRegister);
    const portMin = port === null ? undefined : portRegister;
    const bits = flags.length === 0 ? undefined : natFlags(flags);
    if (type === "masquerade" || type === "redirect") {
      return this.#out.add({
        kind: type === "masquerade" ? "masq" : "redir",
        portMin,
        flags: bits,
      });
    }
    this.#out.add({
      kind: "nat",
      type,
      family: inFamily === "ip" ? 2 : 10,
      addressMin: address === null ? undefined : REGISTER,
      portMin,
      flags: bits,
    });
  }

  #reject(statement: Reject): void {
    if (statement.with?.type !== "tcp reset") {
      return this.#out.add(rejectExpression(statement.with, this.#context.family));
    }
    this.#out.needTcp();
    this.#out.add({ kind: "reject", type: "tcp reset", code: 0 });
  }

  #update({ operation, set, key, data, timeout, statements }: SetUpdate): void {
    if (data !== null) throw new CompileError("a map that packets change");
    this.#out.loadKey(key);
    const expressions = statements.map(compileStateful);
    this.#out.add({
      kind: "dynset",
      set,
      op: operation,
      keyReg: REGISTER,
      timeout: timeout ?? undefined,
      expression: expressions.length === 1 ? expressions[0] : undefined,
      expressions: expressions.length > 1 ? expressions : undefined,
    });
  }
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
