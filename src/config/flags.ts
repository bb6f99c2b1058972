/**
 * From command line arguments to flag values.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { z } from "zod";
import {
  type FlagCommand,
  type FlagName,
  FLAGS,
  type FlagSpec,
  type FlagValues,
} from "./flag_table.ts";
import { nearestName, UsageError } from "./usage.ts";

/** What a command was given. */
export interface ParsedArguments {
  readonly values: FlagValues;
  /** The flags that were typed, whatever their value. */
  readonly given: ReadonlySet<FlagName>;
  /** What was typed after them, every occurrence. */
  readonly typed: ReadonlyMap<FlagName, readonly string[]>;
  /** Arguments that are no flags, in order. */
  readonly positionals: readonly string[];
  /** What follows `--`; null when there was none. */
  readonly rest: readonly string[] | null;
  /** Whether the command is only to say something about itself. */
  readonly asked: "help" | "version" | null;
}

const TABLE: Readonly<Record<string, FlagSpec>> = FLAGS;

const isFlagName = (name: string): name is FlagName => Object.hasOwn(FLAGS, name);

/**
 * Parses the arguments of a command: `--flag value`, `--flag=value`, `--flag` and `--flag=false` for
 * booleans, `-v 2`, `-v=2`, and everything after `--` as it is. A flag given again replaces the former
 * value; a list grows.
 *
 * @throws {UsageError} naming the flag, its value and what was expected.
 */
export function parseFlags(args: readonly string[], command: FlagCommand): ParsedArguments {
  const typed = new Map<FlagName, string[]>();
  const positionals: string[] = [];
  let asked: ParsedArguments["asked"] = null;
  const terminator = args.indexOf("--");
  const own = terminator < 0 ? args : args.slice(0, terminator);
  const rest = terminator < 0 ? null : args.slice(terminator + 1);

  for (const token of tokenize(own)) {
    if (token.kind === "positional") positionals.push(token.value);
    if (token.kind !== "option") continue;
    if (token.name === "help" || token.name === "version") {
      asked ??= token.name;
      continue;
    }
    const name = knownFlag(token.name, token.rawName, command);
    const value = tokenValue(token, TABLE[name]);
    typed.set(name, [...(typed.get(name) ?? []), value]);
  }
  return { values: valuesOf(typed), given: new Set(typed.keys()), typed, positionals, rest, asked };
}

type OptionToken = { name: string; rawName: string; value?: string; inlineValue?: boolean };

function tokenize(args: readonly string[]) {
  const options: Record<string, { type: "string" | "boolean"; short?: string }> = {
    help: { type: "boolean", short: "h" },
    version: { type: "boolean" },
  };
  for (const [name, spec] of Object.entries(TABLE)) {
    options[name] = { type: spec.kind === "boolean" ? "boolean" : "string" };
    if (name.length === 1) options[name].short = name;
  }
  return parseArgs({
    args: args.map(withDashes),
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  })
    .tokens;
}

/** As in the Kubernetes components, --proxy_mode is --proxy-mode. */
function withDashes(arg: string): string {
  return arg.replace(/^--[^=]*/, (name) => name.replaceAll("_", "-"));
}

/** The flag that was meant, if this command has it. */
function knownFlag(name: string, typed: string, command: FlagCommand): FlagName {
  if (isFlagName(name) && TABLE[name].commands.includes(command)) return name;
  const known = Object.keys(TABLE).filter((other) => TABLE[other].commands.includes(command));
  throw unknownFlag(typed, command, known);
}

/** That a command has no flag as it was typed, and which one may be meant. */
export function unknownFlag(
  typed: string,
  command: string,
  known: readonly string[],
): UsageError {
  const nearest = nearestName(typed.replace(/^-+/, ""), known);
  return new UsageError(
    `unknown flag ${typed}` +
      (nearest === null
        ? `: expected one of those that "${command} --help" lists`
        : `: did you mean --${nearest}?`),
  );
}

function tokenValue(token: OptionToken, spec: FlagSpec): string {
  if (spec.kind === "boolean") return token.value ?? "true";
  const missing = token.value === undefined ||
    (token.inlineValue !== true && token.value.startsWith("--"));
  if (missing) throw new UsageError(`${token.rawName}: expected ${spec.placeholder} after it`);
  // node:util takes the "=" of "-v=2" for a part of the value.
  const short = !token.rawName.startsWith("--") && token.inlineValue === true;
  return short ? token.value!.replace(/^=/, "") : token.value!;
}

/** The values of all flags when none is typed. */
export function defaultValues(): FlagValues {
  return valuesOf(new Map());
}

function valuesOf(typed: ReadonlyMap<FlagName, string[]>): FlagValues {
  const values: Record<string, unknown> = {};
  for (const [name, spec] of Object.entries(TABLE)) {
    const given = typed.get(name as FlagName);
    const unset = given === undefined || (spec.emptyIsUnset === true && given.at(-1) === "");
    const texts = !unset ? given : spec.default === null ? null : [spec.default];
    if (texts !== null) values[name] = flagValue(name, spec, texts);
  }
  return values as FlagValues;
}

/** The value that was typed after a flag, or what was expected instead. */
export function readFlag(
  spec: FlagSpec,
  texts: readonly string[],
): { readonly value: unknown } | { readonly expected: string } {
  const input = spec.kind === "list" ? texts : texts.at(-1);
  const result = (spec.schema as z.ZodType).safeParse(input);
  return result.success ? { value: result.data } : { expected: result.error.issues[0].message };
}

function flagValue(name: string, spec: FlagSpec, texts: string[]): unknown {
  const read = readFlag(spec, texts);
  if ("value" in read) return read.value;
  const shown = spec.kind === "list" ? texts.join(",") : texts.at(-1)!;
  const flag = name.length === 1 ? `-${name}` : `--${name}`;
  throw new UsageError(`${flag} ${JSON.stringify(shown)}: ${read.expected}`);
}
