/**
 * The same test in the other IP family: tests are written with IPv4 addresses, each of which stands
 * for one of IPv6 where they run in that.
 *
 * @module
 */

import { type Family, parseAddress } from "../../../src/net/address.ts";

const ADDRESS = /\b(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:\/(\d{1,2}))?(?![\d.])/g;

/** A text with its addresses, and networks of whole octets, as they are in a family. */
export function textIn(family: Family, text: string): string {
  if (family === "IPv4") return text;
  return text.replace(ADDRESS, (_, a, b, c, d, prefix) => {
    const address = parseAddress(`fd00:${a}:${b}::${c}:${d}`)!;
    return prefix === undefined ? address : `${address}/${PREFIXES[prefix]}`;
  });
}

const PREFIXES: Readonly<Record<string, number>> = { "8": 32, "16": 48, "24": 112, "32": 128 };

/** Plain data with all its texts so; "IPv4" itself becomes the family's name. */
export function dataIn<T>(family: Family, data: T): T {
  if (family === "IPv4") return data;
  return mapped(data, (text) => text === "IPv4" ? family : textIn(family, text)) as T;
}

function mapped(data: unknown, fn: (text: string) => string): unknown {
  if (typeof data === "string") return fn(data);
  if (Array.isArray(data)) return data.map((item) => mapped(item, fn));
  if (typeof data !== "object" || data === null) return data;
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, mapped(value, fn)]));
}
