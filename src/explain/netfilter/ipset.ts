/**
 * Sets as `ipset save` writes them, and whether they hold a packet.
 *
 * @module
 */

import type { Protocol } from "../../cluster/objects.ts";
import {
  addressBytes,
  type Network,
  networkContainsBytes,
  parseAddress,
  parseNetwork,
} from "../../net/address.ts";
import type { Packet } from "./packet.ts";
import type { Address } from "./sender.ts";

/** Which end of the packet a part of a set is compared with. */
export type Side = "src" | "dst";

/** One set. */
export class IpSet {
  /** The parts of each element, as the type names them. */
  readonly parts: readonly string[];
  readonly #texts: readonly string[];
  #entries: Entry[] | null = null;
  #index: Index | null = null;

  /**
   * @param type "hash:ip,port" for example.
   * @param texts elements as `ipset save` writes them, which are looked at when first asked for.
   */
  constructor(readonly name: string, readonly type: string, texts: readonly string[] = []) {
    this.parts = type.slice(type.indexOf(":") + 1).split(",");
    this.#texts = texts;
  }

  /** Throws {@link IpSetError}. */
  get entries(): readonly Entry[] {
    if (this.#entries === null) {
      this.#entries = [];
      for (const text of this.#texts) this.add(text, false);
    }
    return this.#entries;
  }

  /** Adds an element; `nomatch` excepts it from larger networks. Throws {@link IpSetError}. */
  add(text: string, nomatch: boolean): void {
    const parts = parseElement(this, text);
    if (parts === null) throw new IpSetError(`${text} is not an element of ${this.type}`);
    this.#entries ??= [];
    this.#entries.push({ parts, nomatch });
    this.#index = null;
  }

  /**
   * What of the elements has to be compared with these sides of the packet: true when one of them is
   * exactly that, without looking at the others of its kind.
   */
  candidates(sides: readonly Side[], packet: Packet, source: Address): readonly Entry[] | true {
    const port = this.parts.indexOf("port");
    const anyPort = port >= 0 && sides[port] === "src" && packet.sourcePort.number === null;
    if (anyPort) return this.entries;
    this.#index ??= indexOf(this.entries);
    const key = this.parts.map((part, i) => {
      const ofSource = sides[i] === "src";
      if (part !== "port") return (ofSource ? source : packet.dest).text;
      const protocol = this.type.startsWith("bitmap:") ? "" : packet.protocol;
      return `${protocol}:${ofSource ? packet.sourcePort.number : packet.destPort}`;
    }).join();
    return this.#index.exact.has(key) || this.#index.others;
  }
}

/** Elements that are one address and one port by their text, and all others. */
interface Index {
  readonly exact: ReadonlySet<string>;
  readonly others: readonly Entry[];
}

function indexOf(entries: readonly Entry[]): Index {
  const exact = new Set<string>();
  const others: Entry[] = [];
  for (const entry of entries) {
    const key = exactKey(entry);
    if (key === null) others.push(entry);
    else exact.add(key);
  }
  return { exact, others };
}

interface Entry {
  readonly parts: readonly Part[];
  /** Excepted from larger networks of the same set. */
  readonly nomatch: boolean;
}

type Part =
  | { readonly kind: "network"; readonly network: Network }
  | { readonly kind: "range"; readonly first: Uint8Array; readonly last: Uint8Array }
  | {
    readonly kind: "port";
    readonly protocol: Protocol | "other" | null;
    readonly first: number;
    readonly last: number;
  }
  | { readonly kind: "set"; readonly name: string };

/** Text that ipset would not write; of a dump, the message names the line. */
export class IpSetError extends Error {
  override readonly name = "IpSetError";
}

/** Reads the output of `ipset save`. Throws {@link IpSetError}. */
export function parseIpSets(text: string): Map<string, IpSet> {
  const sets = new Map<string, IpSet>();
  for (const [index, line] of text.split("\n").entries()) {
    const words = line.trim().split(/\s+/);
    if (words[0] === "" || words[0].startsWith("#")) continue;
    const where = `line ${index + 1}`;
    if (words[0] === "create" && words.length >= 3) {
      const [, name, type] = words;
      sets.set(name, new IpSet(name, type));
    } else if (words[0] === "add" && words.length >= 3) {
      const found = sets.get(words[1]);
      if (found === undefined) throw new IpSetError(`${where}: set ${words[1]} was not created`);
      try {
        found.add(words[2], words.includes("nomatch"));
      } catch (error) {
        throw error instanceof IpSetError ? new IpSetError(`${where}: ${error.message}`) : error;
      }
    } else {
      throw new IpSetError(`${where}: expected create or add, not ${JSON.stringify(line)}`);
    }
  }
  return sets;
}

/** The key of an element that is one address and one port. */
function exactKey({ parts, nomatch }: Entry): string | null {
  const keys = parts.map((part) => {
    if (part.kind === "network") {
      const { address, bytes, prefix } = part.network;
      return prefix === bytes.length * 8 ? address : null;
    }
    if (part.kind !== "port" || part.first !== part.last) return null;
    return `${part.protocol ?? ""}:${part.first}`;
  });
  return nomatch || keys.length === 0 || keys.includes(null) ? null : keys.join();
}

/** Kinds of part that packets can be compared with. */
const COMPARABLE = ["ip", "net", "port", "set"];

function parseElement(set: IpSet, text: string): Part[] | null {
  if (!set.parts.every((part) => COMPARABLE.includes(part))) return [];
  const words = text.split(",");
  if (words.length !== set.parts.length) return null;
  const parts = words.map((word, i) => parsePart(set.parts[i], word));
  return parts.includes(null) ? null : parts as Part[];
}

function parsePart(kind: string, text: string): Part | null {
  if (kind === "set") return { kind: "set", name: text };
  if (kind === "port") {
    const match = /^(?:([a-z0-9-]+):)?(\d+)(?:-(\d+))?$/i.exec(text);
    if (match === null) return null;
    const first = Number(match[2]);
    return {
      kind: "port",
      protocol: match[1] === undefined ? null : protocolOf(match[1]),
      first,
      last: match[3] === undefined ? first : Number(match[3]),
    };
  }
  const dash = text.indexOf("-");
  if (dash >= 0) {
    const [first, last] = [parseAddress(text.slice(0, dash)), parseAddress(text.slice(dash + 1))];
    if (first === null || last === null) return null;
    return { kind: "range", first: addressBytes(first), last: addressBytes(last) };
  }
  const network = parseNetwork(text);
  return network === null ? null : { kind: "network", network };
}

function protocolOf(text: string): Protocol | "other" {
  const name = text.toUpperCase();
  return name === "TCP" || name === "UDP" || name === "SCTP" ? name : "other";
}

/** Sides of a packet, to be looked for. */
interface Wanted {
  readonly sides: readonly Side[];
  readonly packet: Packet;
  readonly sets: ReadonlyMap<string, IpSet>;
}

/** Whether the set holds the packet's sides, or why that cannot be said. */
export function setHolds(
  set: IpSet,
  sides: readonly Side[],
  packet: Packet,
  sets: ReadonlyMap<string, IpSet>,
): boolean | string {
  const wanted = { sides, packet, sets };
  return sides.includes("src")
    ? packet.source.ask(holdsFrom, { set, wanted })
    : holds(set, wanted, packet.source);
}

function holdsFrom(
  source: Address,
  { set, wanted }: { readonly set: IpSet; readonly wanted: Wanted },
): boolean | string {
  return holds(set, wanted, source);
}

/** For a packet from this source. */
function holds(set: IpSet, wanted: Wanted, source: Address): boolean | string {
  const { sides, packet } = wanted;
  const strange = set.parts.find((part) => !COMPARABLE.includes(part));
  if (strange !== undefined) {
    return `set ${set.name} holds ${strange}, which is not known of the packet`;
  }
  if (set.parts[0] === "set") return listHolds(set, wanted, source);
  // The kernel ignores sides beyond the set's parts, and a set with more parts never matches.
  if (sides.length < set.parts.length) return false;
  const candidates = set.candidates(sides, packet, source);
  if (candidates === true) return true;
  let best: { length: number; nomatch: boolean } | null = null;
  for (const entry of candidates) {
    const fits = entry.parts.map((part, i) => partHolds(part, sides[i], packet, source));
    if (fits.includes(false)) continue;
    if (fits.includes(null)) return "the flow's source port is not given";
    const length = entry.parts.reduce(
      (sum, part) => part.kind === "network" ? sum + part.network.prefix : sum,
      0,
    );
    if (best === null || length > best.length) best = { length, nomatch: entry.nomatch };
  }
  return best !== null && !best.nomatch;
}

function listHolds(set: IpSet, wanted: Wanted, source: Address): boolean | string {
  let undecided: string | null = null;
  for (const { parts: [part] } of set.entries) {
    const name = part.kind === "set" ? part.name : "";
    const member = wanted.sets.get(name);
    const held = member === undefined || member.parts[0] === "set"
      ? `what set ${name} holds is not given`
      : holds(member, wanted, source);
    if (held === true) return true;
    if (held !== false) undecided ??= held;
  }
  return undecided ?? false;
}

/** Null: it depends on a source port that is not known. */
function partHolds(part: Part, side: Side, packet: Packet, source: Address): boolean | null {
  if (part.kind === "port") return portHolds(part, side, packet);
  const { bytes } = side === "src" ? source : packet.dest;
  switch (part.kind) {
    case "network":
      return networkContainsBytes(part.network, bytes);
    case "range":
      return bytes.length === part.first.length && !less(bytes, part.first) &&
        !less(part.last, bytes);
    case "set":
      return false;
  }
}

function portHolds(
  { protocol, first, last }: Extract<Part, { kind: "port" }>,
  side: Side,
  packet: Packet,
): boolean | null {
  if (protocol !== null && protocol !== packet.protocol) return false;
  const port = side === "src" ? packet.sourcePort.number : packet.destPort;
  return port === null ? null : port >= first && port <= last;
}

function less(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i] < b[i];
  return false;
}
