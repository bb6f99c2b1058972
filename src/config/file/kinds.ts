/**
 * The kinds of field that a configuration file has: what may stand there, and how that becomes a
 * flag's value and comes back from one.
 *
 * @module
 */

import { z } from "zod";
import { formatGoDuration, parseGoDuration } from "../go_duration.ts";
import { formatListenAddress, type SocketAddress } from "../values.ts";

/** A kind of field. */
export interface Kind {
  /** What may stand in the file; null stands for "not given" and is not looked at here. */
  readonly schema: z.ZodType;
  /** What Go takes for "not given". */
  readonly zero: unknown;
  /** As it would be typed after the flag: the occurrences. */
  typed(wire: never): string[];
  /** As it stands in the file, from the flag's value. */
  wire(value: unknown): unknown;
}

/** Keeps the types of a kind's two sides together. */
function kind<Wire, Value>(
  zero: Wire,
  schema: z.ZodType<Wire>,
  typed: (wire: Wire) => string[],
  wire: (value: Value) => Wire,
): Kind {
  return { zero, schema, typed: typed as Kind["typed"], wire: wire as Kind["wire"] };
}

/** Says what was expected and what was found instead. */
const expected = (what: string) => ({
  error: ({ input }: { readonly input?: unknown }) =>
    `expected ${what}, found ${JSON.stringify(input)}`,
});

const INT32_MAX = 2 ** 31 - 1;
const int32 = z.int(expected("a whole number")).min(-INT32_MAX - 1).max(INT32_MAX);

export const text = kind(
  "",
  z.string(expected("text")),
  (wire) => [wire],
  (value: string) => value,
);

export const boolean = kind(
  false,
  z.boolean(expected("true or false")),
  (wire) => [String(wire)],
  (value: boolean) => value,
);

export const integer = kind(0, int32, (wire) => [String(wire)], (value: number) => value);

export const number = kind(
  0,
  z.number(expected("a number")),
  (wire) => [String(wire)],
  (value: number) => value,
);

const durationText = z.string(expected('a duration such as "30s"')).refine(
  (wire) => parseGoDuration(wire) !== null,
  expected('a duration such as "30s"'),
);

/** metav1.Duration. */
export const duration = kind("0s", durationText, (wire) => [wire], formatGoDuration);

/** TimeOrMetaDuration of logs/api/v1: text, or a number of nanoseconds. */
export const durationOrNanoseconds = kind(
  0 as string | number,
  z.union([durationText, z.int()], expected('a duration such as "5s"')),
  (wire) => [typeof wire === "number" ? `${wire}ns` : wire],
  formatGoDuration,
);

const texts = z.array(z.string(expected("text")), expected("a list"));

/** A list; an empty one and none are the same. */
export const list = kind<string[] | null, readonly string[]>(
  null,
  texts,
  (wire) => wire ?? [],
  (value) => value.length === 0 ? null : [...value],
);

/** A list in one text, with commas. */
export const commaList = kind<string, readonly string[]>(
  "",
  z.string(expected("text")),
  (wire) => [wire],
  (value) => value.join(","),
);

/** "address:port". */
export const listenAddress = kind<string, SocketAddress | null>(
  "",
  z.string(expected("an address and port")),
  (wire) => [wire],
  (value) => value === null ? "" : formatListenAddress(value),
);

/** Names that are switched on or off. */
export const switches = kind<Record<string, boolean> | null, ReadonlyMap<string, boolean>>(
  null,
  z.record(z.string(), z.boolean(expected("true or false")), expected("a map")),
  (wire) => Object.entries(wire ?? {}).map(([name, on]) => `${name}=${on}`),
  (value) => value.size === 0 ? null : Object.fromEntries(value),
);

/** VModuleConfiguration of logs/api/v1. */
export const verbosityByPattern = kind<
  { filePattern: string; verbosity: number }[] | null,
  readonly { readonly pattern: string; readonly verbosity: number }[]
>(
  null,
  z.array(z.strictObject({ filePattern: z.string(), verbosity: int32 }), expected("a list")),
  (wire) => (wire ?? []).map(({ filePattern, verbosity }) => `${filePattern}=${verbosity}`),
  (value) =>
    value.length === 0
      ? null
      : value.map(({ pattern, verbosity }) => ({ filePattern: pattern, verbosity })),
);

/** Anything: what is not read is not judged. */
export const anything = kind<unknown, unknown>(null, z.unknown(), () => [], (value) => value);
