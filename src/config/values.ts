/**
 * The kinds of value that flags take, as zod schemas from text to value. Messages say what was
 * expected; the caller names the flag and the value.
 *
 * @module
 */

import { z } from "zod";
import {
  familyOf,
  formatNetwork,
  formatSocketAddress,
  type Network,
  parseAddress,
  parseNetwork,
} from "../net/address.ts";
import { SCHEDULER_FLAGS } from "../plan/scheduling.ts";
import { parseGoDuration } from "./go_duration.ts";

/** A TCP address to listen on. */
export interface SocketAddress {
  /** Canonical address. */
  readonly host: string;
  readonly port: number;
}

/** "address:port", with IPv6 addresses in brackets. */
export function formatListenAddress(address: SocketAddress): string {
  return formatSocketAddress(address.host, address.port);
}

/** Whether only this machine can reach the address. */
export function isLoopback(address: string): boolean {
  return familyOf(address) === "IPv4" ? address.startsWith("127.") : address === "::1";
}

const expected = (what: string) => ({ error: `expected ${what}` });

/** A schema from text by a function that answers null for what it does not take. */
function parsed<T>(what: string, parse: (text: string) => T | null) {
  return z.string().transform((text, context): T => {
    const value = parse(text);
    if (value !== null) return value;
    context.addIssue({ code: "custom", message: `expected ${what}` });
    return z.NEVER;
  });
}

/** Any text. */
export const text = z.string();

/** A node's name, as kube-proxy takes it: without spaces around it, in lower case; "" for none. */
export const nodeName = parsed("the name of a node", (value) => {
  const name = value.trim().toLowerCase();
  return name === "" && value !== "" ? null : name;
});

/** Text that is not empty. */
export const nonEmpty = (what: string) => z.string().min(1, expected(what));

/** What is read: a path, or "-" for standard input, which Deno does not open by its path. */
export const input = (what: string) =>
  nonEmpty(what).transform((path) => path === "/dev/stdin" ? "-" : path);

/** Several inputs, each typed by itself, as paths may have commas in them; "" is none. */
export const inputs = z.array(z.string()).transform((paths) =>
  paths.filter((path) => path !== "").map((path) => path === "/dev/stdin" ? "-" : path)
);

/** Several words, each typed by itself; "" is none. */
export const words = z.array(z.string()).transform((texts) => texts.filter((text) => text !== ""));

/** true or false, in the spellings that Go's strconv.ParseBool takes. */
export const boolean = parsed("true or false", (value) => {
  if (["1", "t", "T", "true", "TRUE", "True"].includes(value)) return true;
  if (["0", "f", "F", "false", "FALSE", "False"].includes(value)) return false;
  return null;
});

/** A whole number in a range, bounds included. */
export function integer(min: number, max: number) {
  return parsed(`a whole number from ${min} to ${max}`, (value) => {
    if (!/^[+-]?[0-9]+$/.test(value)) return null;
    const number = Number(value);
    return number >= min && number <= max ? number : null;
  });
}

/** A number. */
export const number = parsed("a number", (value) => {
  return /^[+-]?[0-9]+(?:\.[0-9]+)?$/.test(value) ? Number(value) : null;
});

/** A name of a network link, or a prefix of one: at most 15 bytes (IFNAMSIZ − 1); "" for none. */
export const interfaceName = z.string().regex(
  /^[^/\s"\\!+]{0,15}$/,
  expected("an interface name of at most 15 characters"),
);

/** One of some words. */
export function oneOf<const T extends readonly [string, ...string[]]>(words: T) {
  return z.enum(words, expected(`one of ${words.join(", ")}`));
}

/** Milliseconds from a Go duration ("1m30s", "100ms", "0"), which may not be negative. */
export const duration = parsed("a duration such as 30s, 1m30s or 100ms", (value) => {
  const ms = parseGoDuration(value);
  return ms === null || ms < 0 ? null : ms;
});

/** One address, canonical. */
export const address = parsed("an IP address", parseAddress);

/**
 * "address:port", or an address alone, which gets the default port (as kube-proxy's bind addresses).
 * The empty text is null: the server is not wanted.
 */
export function listenAddress(defaultPort: number) {
  return parsed(
    `an address and port such as 127.0.0.1:${defaultPort}, or "" for none`,
    (value): { address: SocketAddress | null } | null => {
      if (value === "") return { address: null };
      const bare = parseAddress(value.replace(/^\[(.*)\]$/, "$1"));
      if (bare !== null) return { address: { host: bare, port: defaultPort } };
      const split = /^(?:\[([^\]]+)\]|([^:]*)):([0-9]{1,5})$/.exec(value);
      if (split === null) return null;
      const host = split[1] ?? (split[2] === "" ? "0.0.0.0" : split[2]);
      const canonical = parseAddress(host);
      const port = Number(split[3]);
      if (canonical === null || port > 65_535) return null;
      return { address: { host: canonical, port } };
    },
  ).transform((value) => value.address);
}

/** Where an API is: a URL of HTTP, or "unix:" and the absolute path of a socket. */
export const server = parsed(
  "http://HOST:PORT, https://HOST:PORT or unix:/PATH",
  (value): URL | null => {
    const url = URL.parse(value);
    if (url === null) return null;
    if (url.protocol === "unix:") return /^unix:\/[^/]/.test(value) ? url : null;
    return ["http:", "https:"].includes(url.protocol) ? url : null;
  },
);

/** The items of a comma-separated list; the flag may be repeated too. */
function items(values: readonly string[]): string[] {
  return values.flatMap((value) => value.split(",")).map((item) => item.trim())
    .filter((item) => item !== "");
}

/** A list of text. */
export const list = z.array(z.string()).transform(items);

function listOf<T>(what: string, parse: (item: string) => T | null) {
  return list.transform((values, context): T[] => {
    const result: T[] = [];
    for (const item of values) {
      const value = parse(item);
      if (value === null) {
        context.addIssue({ code: "custom", message: `${JSON.stringify(item)}: expected ${what}` });
      } else result.push(value);
    }
    return result;
  });
}

/** A list of addresses, canonical. */
export const addresses = listOf("an IP address", parseAddress);

/** "address/prefix" of a network whose prefix is written out; null for anything else. */
function networkText(item: string): string | null {
  const network: Network | null = item.includes("/") ? parseNetwork(item) : null;
  return network === null ? null : formatNetwork(network);
}

/** A list of networks, canonical. */
export const networks = listOf("a network such as 10.244.0.0/16", networkText);

/** At most one network of each family, canonical, in the order given. */
export const networkPerFamily = networks.refine(
  (values) => new Set(values.map(familyOf)).size === values.length,
  expected("at most one IPv4 and one IPv6 network"),
);

const primary: readonly string[] = ["primary"];
const networksOrPrimary = listOf(
  'a network such as 192.168.0.0/16, or the single word "primary"',
  networkText,
);

/** A list of flags of schedulers. */
export const schedulerFlags = listOf(
  `one of ${SCHEDULER_FLAGS.join(", ")}`,
  (item) => SCHEDULER_FLAGS.find((flag) => flag === item) ?? null,
);

/** Networks, or the single word "primary": the node's primary address of each family. */
export const nodePortAddresses = z.array(z.string()).transform((values, context) => {
  const given = items(values);
  if (given.length === 1 && given[0] === "primary") return primary;
  const result = networksOrPrimary.safeParse(given);
  if (result.success) return result.data;
  context.addIssue({ code: "custom", message: result.error.issues[0].message });
  return z.NEVER;
});

/** Names that are switched on or off: "A=true,B=false"; a later one stands over an earlier. */
export const switches = z.array(z.string()).transform((values, context) => {
  const result = new Map<string, boolean>();
  for (const item of items(values)) {
    const [name, state, ...rest] = item.split("=").map((part) => part.trim());
    const on = state === undefined || rest.length > 0 ? undefined : boolean.safeParse(state).data;
    if (name === "" || on === undefined) {
      const message = `${JSON.stringify(item)}: expected NAME=true or NAME=false`;
      context.addIssue({ code: "custom", message });
    } else result.set(name, on);
  }
  return result;
});

/** "pattern=N,…": how much the parts of the program log whose names match. */
export const verbosityByPattern = listOf("PATTERN=N", (item) => {
  const match = /^([^=]+)=([0-9]{1,9})$/.exec(item);
  return match === null ? null : { pattern: match[1], verbosity: Number(match[2]) };
});
