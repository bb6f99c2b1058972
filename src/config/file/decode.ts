/**
 * From the text of a configuration file to the values of the flags that say the same.
 *
 * As kube-proxy decodes v1alpha1, a field that is not known, or is there twice, is no reason not to
 * start: it is told, with the one that was meant.
 *
 * @module
 */

import { type Document, parseAllDocuments, type YAMLError } from "yaml";
import { z } from "zod";
import { messageOf } from "../../errors.ts";
import { type FlagName, FLAGS, type FlagValues } from "../flag_table.ts";
import { readFlag } from "../flags.ts";
import { parseGoDuration } from "../go_duration.ts";
import { nearestName, UsageError } from "../usage.ts";
import { type Field, FIELDS } from "./fields.ts";

export const API_VERSION = "kubeproxy.config.k8s.io/v1alpha1";
export const KIND = "KubeProxyConfiguration";

/** What a configuration file says. */
export interface Configuration {
  /** By flag; those that the file leaves open are absent. */
  readonly values: Partial<FlagValues>;
  /** Paths of fields that are set and have no effect, and what is said of unknown ones. */
  readonly withoutEffect: readonly string[];
  /** Fields without a flag, as they stand in the file, by path. */
  readonly idle: ReadonlyMap<string, unknown>;
}

/**
 * Reads a configuration.
 *
 * @param where how messages begin: "--config /etc/kube-proxy.conf".
 * @throws {UsageError} naming every field that is wrong, in one line.
 */
export function decodeConfiguration(text: string, where: string): Configuration {
  const { object: wire, repeated } = objectOf(text, where);
  const issues = SHAPE.safeParse(wire).error?.issues ?? [];
  const wrong = issues.filter(({ code }) => code !== "unrecognized_keys");
  if (wrong.length > 0) throw refusal(where, wrong.map(shapeProblem));
  const given = new Map(
    FIELDS.map((field) => [field.path, at(wire, field.path)] as const)
      .filter(([, value]) => value !== null && value !== undefined),
  );
  const mode = String(given.get("mode") ?? "");
  const problems: string[] = [];
  const values: Record<string, unknown> = {};
  const withoutEffect = [...repeated, ...issues.flatMap(unknownFields)];
  const idle = new Map<string, unknown>();
  for (const field of FIELDS) {
    const value = given.get(field.path);
    const unset = value === undefined || (field.zeroIsUnset && isZero(field, value));
    if (unset || !isRead(field, mode)) continue;
    if (field.flag === null) {
      if (isZero(field, value)) continue;
      idle.set(field.path, value);
      withoutEffect.push(field.path);
      continue;
    }
    const spec = FLAGS[field.flag];
    const read = readFlag(spec, field.kind.typed(value as never));
    if ("value" in read) values[field.flag] = read.value;
    else problems.push(invalid(field.path, value, field.must ?? read.expected));
    if (spec.support === "without-effect" && !isDefault(field, value)) {
      withoutEffect.push(field.path);
    }
  }
  addDefaults(values);
  problems.push(...problemsBetween(values, mode));
  if (problems.length > 0) throw refusal(where, problems);
  return { values: values as Partial<FlagValues>, withoutEffect, idle };
}

/** Whether a proxy mode reads a field; one that is not known reads all. */
function isRead({ modes }: Field, mode: string): boolean {
  return modes === undefined || modes.includes(mode) || !FIELD_MODES.has(mode);
}

const FIELD_MODES: ReadonlySet<string> = new Set(FIELDS.flatMap(({ modes }) => modes ?? []));

/** Whether a value is what Go takes for "not given", itself and in all of its parts. */
function isZero({ kind }: Pick<Field, "kind">, value: unknown): boolean {
  if (typeof value === "object" && value !== null) {
    return Object.values(value).every((part) => isZero({ kind }, part));
  }
  if (kind.zero === "0s" && typeof value === "string") return parseGoDuration(value) === 0;
  return [null, kind.zero, 0, "0", "", false].includes(value as null);
}

/** Whether the file says what the flag's default says too. */
function isDefault({ kind, flag }: Field, value: unknown): boolean {
  const spec = FLAGS[flag!];
  const byDefault = readFlag(spec, spec.default === null ? [] : [spec.default]);
  if (!("value" in byDefault)) return isZero({ kind }, value);
  const read = readFlag(spec, kind.typed(value as never));
  return "value" in read && JSON.stringify(read.value) === JSON.stringify(byDefault.value);
}

function invalid(path: string, value: unknown, must: string): string {
  return `${path}: Invalid value: ${JSON.stringify(value)}: ${must}`;
}

/** Where a file's default is another than the flag's: addresses go with the family of bindAddress. */
function addDefaults(values: Record<string, unknown>): void {
  values["ipvs-min-sync-period"] ??= 0;
  if (!String(values["bind-address"] ?? "").includes(":")) return;
  values["healthz-bind-address"] ??= { host: "::", port: 10256 };
  values["metrics-bind-address"] ??= { host: "::1", port: 10249 };
}

/** What must hold between fields. */
function problemsBetween(values: Partial<FlagValues>, mode: string): string[] {
  const problems: string[] = [];
  const flags = mode === "ipvs" ? "ipvs" : "iptables";
  const section = mode === "ipvs" || mode === "nftables" ? mode : "iptables";
  const period = (flag: FlagName) => (values[flag] ?? readDefault(flag)) as number;
  const syncMs = period(`${flags}-sync-period`);
  if (values[`${flags}-sync-period`] === 0) {
    problems.push(`${section}.syncPeriod: Invalid value: "0s": must be greater than 0`);
  } else if (period(`${flags}-min-sync-period`) > syncMs) {
    problems.push(
      `${section}.syncPeriod: Invalid value: "${syncMs / 1000}s": ` +
        `must be greater than or equal to ${section}.minSyncPeriod`,
    );
  }
  if (values["config-sync-period"] === 0) {
    problems.push('configSyncPeriod: Invalid value: "0s": must be greater than 0');
  }
  for (const { mode: detection, flag, path } of BY_INTERFACE) {
    if (values["detect-local-mode"] !== detection || (values[flag] ?? "") !== "") continue;
    problems.push(invalid(path, "", "must not be empty"));
  }
  return problems;
}

function readDefault(flag: FlagName): unknown {
  const spec = FLAGS[flag];
  const read = readFlag(spec, [spec.default ?? ""]);
  return "value" in read ? read.value : undefined;
}

const BY_INTERFACE = [
  {
    mode: "BridgeInterface",
    flag: "pod-bridge-interface",
    path: "detectLocal.bridgeInterface",
  },
  {
    mode: "InterfaceNamePrefix",
    flag: "pod-interface-name-prefix",
    path: "detectLocal.interfaceNamePrefix",
  },
] as const;

/** A file's object. */
interface FoundObject {
  readonly object: Record<string, unknown>;
  /** One line for each name that is there more than once; the last one counts. */
  readonly repeated: readonly string[];
}

/** The first document's object; kube-proxy does not read others either. */
function objectOf(text: string, where: string): FoundObject {
  const [document] = parseAllDocuments(text, { version: "1.1", prettyErrors: true });
  if (document === undefined) throw new UsageError(`${where}: expected ${KIND}, found nothing`);
  const errorLine = ({ message }: YAMLError) => message.split("\n")[0].replace(/:$/, "");
  const isRepeated = ({ code }: YAMLError) => code === "DUPLICATE_KEY";
  const error = document.errors.find((one) => !isRepeated(one));
  if (error !== undefined) throw new UsageError(`${where}: ${errorLine(error)}`);
  const object = valueOf(document, where);
  if (typeof object !== "object" || object === null || Array.isArray(object)) {
    throw new UsageError(`${where}: expected ${KIND}, found no object`);
  }
  const { apiVersion, kind } = object;
  if (apiVersion !== API_VERSION || kind !== KIND) {
    const found = `${JSON.stringify(kind) ?? "none"} of ${JSON.stringify(apiVersion) ?? "none"}`;
    throw new UsageError(
      `${where}: expected kind ${KIND} of apiVersion ${API_VERSION}, ` +
        `found ${found}`,
    );
  }
  const repeated = document.errors.map((one) => `${errorLine(one)}; the last one counts`);
  return { object, repeated };
}

/** @throws {UsageError} for aliases that would become too much. */
function valueOf(document: Document, where: string) {
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    throw new UsageError(`${where}: ${messageOf(error)}`);
  }
}

/** The value at a path; undefined where there is none. */
function at(object: Record<string, unknown>, path: string): unknown {
  let value: unknown = object;
  for (const part of path.split(".")) {
    if (typeof value !== "object" || value === null) return undefined;
    value = (value as Record<string, unknown>)[part];
  }
  return value;
}

/** What may stand in a file, from the fields. */
const SHAPE = shapeOf(
  FIELDS.map(({ path, kind }) => ({ path: path.split("."), schema: kind.schema.nullish() })),
  { apiVersion: z.string(), kind: z.string() },
);

function shapeOf(
  fields: readonly { readonly path: readonly string[]; readonly schema: z.ZodType }[],
  more: z.ZodRawShape = {},
): z.ZodType {
  const leaves = fields.filter(({ path }) => path.length === 1);
  const sections = Map.groupBy(
    fields.filter(({ path }) => path.length > 1),
    ({ path }) => path[0],
  );
  return z.strictObject({
    ...more,
    ...Object.fromEntries(leaves.map(({ path, schema }) => [path[0], schema])),
    ...Object.fromEntries(
      [...sections].map(([name, inner]) => [
        name,
        shapeOf(inner.map(({ path, schema }) => ({ path: path.slice(1), schema }))).nullish(),
      ]),
    ),
  }, {
    error: (issue) => issue.code === "unrecognized_keys" ? undefined : "expected a map",
  });
}

function shapeProblem(issue: z.core.$ZodIssue): string {
  return `${pathOf(issue)}: ${issue.message}`;
}

function unknownFields(issue: z.core.$ZodIssue): string[] {
  if (issue.code !== "unrecognized_keys") return [];
  const path = pathOf(issue);
  return issue.keys.map((key) => unknownField(path === "" ? key : `${path}.${key}`));
}

function pathOf({ path }: z.core.$ZodIssue): string {
  return path.map((part, i) =>
    typeof part === "number" ? `[${part}]` : `${i === 0 ? "" : "."}${String(part)}`
  ).join("");
}

/** Other components of Kubernetes have it. */
const TRACING =
  "unknown field tracing: kube-proxy has none; for traces, set the variables OTEL_DENO=true " +
  "and OTEL_EXPORTER_OTLP_ENDPOINT";

/** A field that there is not, with the one that was meant. */
function unknownField(path: string): string {
  if (path === "tracing") return TRACING;
  const paths = FIELDS.map((field) => field.path);
  const name = path.split(".").at(-1);
  const sameName = paths.filter((other) => other.split(".").at(-1) === name);
  const meant = sameName.length > 0 ? sameName.join(" or ") : nearestName(path, paths);
  return `unknown field ${path}` + (meant === null ? "" : `: did you mean ${meant}?`);
}

function refusal(where: string, problems: readonly string[]): UsageError {
  return new UsageError(`${where}: ${problems.join("; ")}`);
}
