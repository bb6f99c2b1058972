/**
 * What flags and a configuration file say together.
 *
 * As in kube-proxy, a configuration file stands for all flags that it has fields for, whether the
 * file has them or not, except `--hostname-override` and the flags of logging. `--master`,
 * `--cleanup` and the flags that only Switchyard has count in any case.
 *
 * @module
 */

import { messageOf } from "../errors.ts";
import { parseAddress } from "../net/address.ts";
import { type Configuration, decodeConfiguration } from "./file/decode.ts";
import { FIELDS } from "./file/fields.ts";
import { type FlagName, FLAGS, type FlagSpec, type FlagValues } from "./flag_table.ts";
import { defaultValues, type ParsedArguments } from "./flags.ts";
import { hasEffect } from "./gates.ts";
import { UsageError } from "./usage.ts";

/** The values that count, and what was given to no avail. */
export interface Settings {
  readonly values: FlagValues;
  readonly ignored: readonly string[];
  readonly withoutEffect: readonly string[];
  /** Fields of the file without a flag, by path. */
  readonly idle: ReadonlyMap<string, unknown>;
  /** All flags as they were typed or are by default, by name. */
  readonly flags: ReadonlyMap<string, string>;
}

/** The flags that a configuration file has fields for. */
const IN_FILE: ReadonlySet<FlagName> = new Set(
  FIELDS.map(({ flag }) => flag).filter((flag) => flag !== null),
);

/** Flags that count even so, as in kube-proxy. */
const OVER_FILE: ReadonlySet<FlagName> = new Set(
  [
    "hostname-override",
    "v",
    "vmodule",
    "logging-format",
    "log-flush-frequency",
  ] satisfies FlagName[],
);

/** @throws {UsageError} when the file cannot be read or is wrong. */
export function settle(parsed: ParsedArguments, readFile: (path: string) => string): Settings {
  const { given, asked, typed } = parsed;
  const path = parsed.values.config;
  const withoutEffect = [...given].filter((name) => FLAGS[name].support !== "honoured");
  const flags = flagTexts(typed);
  const gates = (values: FlagValues) =>
    [...values["feature-gates"]!.keys()].filter((gate) => !hasEffect(gate))
      .map((gate) => `feature gate ${gate}`);
  if (path === undefined || asked !== null) {
    return {
      values: withModeDefaults(withPorts(parsed)),
      ignored: [],
      withoutEffect: [...withoutEffect.map(dashed), ...gates(parsed.values)],
      idle: new Map(),
      flags,
    };
  }
  const file = readConfiguration(path, readFile);
  const values = withModeDefaults(merge(parsed, file));
  const ignored = [...given].filter((name) => IN_FILE.has(name) && !OVER_FILE.has(name));
  return {
    values,
    ignored: ignored.map(dashed),
    withoutEffect: [
      ...withoutEffect.filter((name) => !ignored.includes(name)).map(dashed),
      ...file.withoutEffect,
      ...gates(values),
    ],
    idle: file.idle,
    flags,
  };
}

function readConfiguration(path: string, readFile: (path: string) => string): Configuration {
  const where = `--config ${path}`;
  let text: string;
  try {
    text = readFile(path);
  } catch (error) {
    const missing = error instanceof Deno.errors.NotFound;
    throw new UsageError(`${where}: ${missing ? "there is no such file" : messageOf(error)}`);
  }
  return decodeConfiguration(text, where);
}

function merge({ values, given }: ParsedArguments, file: Configuration): FlagValues {
  const result: Record<string, unknown> = { ...values };
  const defaults: Record<string, unknown> = { ...defaultValues() };
  for (const name of IN_FILE) {
    if (OVER_FILE.has(name) && given.has(name)) continue;
    result[name] = Object.hasOwn(file.values, name) ? file.values[name] : defaults[name];
  }
  if (given.has("vmodule")) {
    result.vmodule = [...values.vmodule!, ...file.values.vmodule ?? []];
  }
  return result as FlagValues;
}

/** kube-proxy's old flags: the port of an address that is given without one, 0 for no server. */
function withPorts({ values, typed }: ParsedArguments): FlagValues {
  const result: Record<string, unknown> = { ...values };
  for (const name of ["healthz", "metrics"] as const) {
    const flag = `${name}-bind-address` as const;
    const port = values[`${name}-port`]!;
    const address = values[flag] ?? null;
    if (port === 0) result[flag] = null;
    else if (address !== null && isPortless(typed.get(flag)?.at(-1))) {
      result[flag] = { ...address, port };
    }
  }
  return result as FlagValues;
}

function isPortless(address: string | undefined): boolean {
  return address !== undefined && parseAddress(address.replace(/^\[(.*)\]$/, "$1")) !== null;
}

/** As in kube-proxy, node ports answer on all addresses of the node unless in nftables mode. */
function withModeDefaults(values: FlagValues): FlagValues {
  const isOpen = values["nodeport-addresses"]!.length === 0;
  return isOpen && values["proxy-mode"] === "nftables"
    ? { ...values, "nodeport-addresses": ["primary"] }
    : values;
}

function flagTexts(typed: ParsedArguments["typed"]): Map<string, string> {
  const table: [string, FlagSpec][] = Object.entries(FLAGS);
  return new Map(
    table.map((
      [name, spec],
    ) => [name, typed.get(name as FlagName)?.join(",") ?? spec.default ?? ""]),
  );
}

function dashed(name: FlagName): string {
  return name.length === 1 ? `-${name}` : `--${name}`;
}
