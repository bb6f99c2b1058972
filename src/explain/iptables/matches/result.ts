/**
 * What a match says of a packet.
 *
 * @module
 */

import { complement, type Fraction } from "../../fraction.ts";
import type { Option } from "../options.ts";
import type { Packet } from "../../netfilter/packet.ts";
import type { World } from "../../netfilter/world.ts";

/** The answer of one match. */
export type Result =
  | {
    readonly kind: "yes" | "no";
    /** An assumption that the answer rests on. */
    readonly note?: string;
    /** A list of the match `recent` that now holds the packet: "LIST ADDRESS". */
    readonly remember?: string;
  }
  /** It depends on chance. */
  | { readonly kind: "chance"; readonly probability: Fraction; readonly note?: string }
  /** It cannot be said. */
  | { readonly kind: "unknown"; readonly reason: string };

export const YES: Result = { kind: "yes" };
export const NO: Result = { kind: "no" };

/** A match of one rule, ready to be asked. */
export type Test = (packet: Packet, world: World) => Result;

/** A match extension: the options it takes, and how they become a test. */
export interface MatchModule {
  /** Number of arguments by option, long and short names. */
  readonly options: Readonly<Record<string, number>>;
  /** Throws {@link NotUnderstood}. */
  compile(options: readonly Option[]): Test;
}

/** Says which part of a rule is not understood. */
export class NotUnderstood extends Error {
  override readonly name = "NotUnderstood";
}

/** Yes or no. */
export function truth(value: boolean): Result {
  return value ? YES : NO;
}

/** Cannot be said, for this reason. */
export function unknown(reason: string): Result {
  return { kind: "unknown", reason };
}

/** The result turned round when asked to. */
export function invert(result: Result, negated: boolean): Result {
  if (!negated) return result;
  switch (result.kind) {
    case "yes":
      return { ...result, kind: "no" };
    case "no":
      return { ...result, kind: "yes" };
    case "chance":
      return { ...result, probability: complement(result.probability) };
    case "unknown":
      return result;
  }
}

/** A test that all the tests pass: one that says no outweighs those that cannot say. */
export function all(tests: readonly Test[]): Test {
  if (tests.length === 1) return tests[0];
  return (packet, world) => {
    let undecided: Result | null = null;
    for (const test of tests) {
      const result = test(packet, world);
      if (result.kind === "no") return result;
      if (result.kind === "chance") throw new TypeError("chance cannot be combined");
      if (result.kind === "unknown") undecided ??= result;
    }
    return undecided ?? YES;
  };
}

/** The options by a table of compilers; one that is not in it is not understood. */
export function compileEach(
  options: readonly Option[],
  compilers: Readonly<Record<string, (option: Option) => Test>>,
): Test {
  return options.length === 1
    ? compileOption(options[0], compilers)
    : all(options.map((option) => compileOption(option, compilers)));
}

function compileOption(
  option: Option,
  compilers: Readonly<Record<string, (option: Option) => Test>>,
): Test {
  if (!Object.hasOwn(compilers, option.name)) {
    throw new NotUnderstood(`option ${option.name} is not understood`);
  }
  const test = compilers[option.name](option);
  return option.negated ? (packet, world) => invert(test(packet, world), true) : test;
}
