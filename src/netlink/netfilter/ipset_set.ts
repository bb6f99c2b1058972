/**
 * Sets and their entries: the types that a Service proxy needs, as data, as text, and in messages.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import type { ValuesOf } from "../attribute.ts";
import { malformed, NetlinkError } from "../error.ts";
import { familyName } from "../family.ts";
import type { Message } from "../message.ts";
import { type ENTRY, NOMATCH, SET, WITH_COMMENT, WITH_COUNTERS } from "./ipset_formats.ts";

/** The types of sets that can be created here; the kernel has more. */
export type SetType =
  | "hash:ip"
  | "hash:ip,port"
  | "hash:ip,port,ip"
  | "hash:ip,port,net"
  | "bitmap:port";

/** The last revision of each type whose parameters are known here. */
export const KNOWN_REVISIONS: Readonly<Record<SetType, number>> = {
  "hash:ip": 6,
  "hash:ip,port": 7,
  "hash:ip,port,ip": 6,
  "hash:ip,port,net": 8,
  "bitmap:port": 3,
};

/** What a set is created with. */
export interface SetSpec {
  /** At most 31 bytes. */
  readonly name: string;
  readonly type: SetType;
  /** Of the addresses (default: IPv4); sets of ports have none. */
  readonly family?: Family;
  /** Seconds that entries last unless they say otherwise; 0: for ever. Absent: never expire. */
  readonly timeout?: number;
  /** First number of buckets of a hash (default: the kernel's, 1024). */
  readonly hashSize?: number;
  /** Most entries of a hash (default: the kernel's, 65536). */
  readonly maxElements?: number;
  /** The ports that a bitmap can hold (default: all). */
  readonly ports?: { readonly from: number; readonly to: number };
  /** Count packets and bytes of each entry. */
  readonly counters?: boolean;
  /** Entries may have a comment. */
  readonly comments?: boolean;
}

/** An entry of a set; the type of the set says which parts it has. */
export interface SetEntry {
  readonly address?: string;
  /** Bits of a network instead of an address; adding to a set of addresses adds each of it. */
  readonly prefix?: number;
  readonly port?: number;
  /** The last of a range of ports; each becomes an entry of its own. */
  readonly toPort?: number;
  /** IP protocol of the port: 6 TCP, 17 UDP, 132 SCTP. */
  readonly protocol?: number;
  /** The second address or network. */
  readonly address2?: string;
  /** Bits of the second one: 1…32 or 1…128 (default: an address). */
  readonly prefix2?: number;
  /** Seconds. */
  readonly timeout?: number;
  readonly comment?: string;
  /** Of networks: exempt from what a larger one says. */
  readonly nomatch?: boolean;
}

/** An entry as it is listed. */
export interface ListedEntry extends SetEntry {
  /** Null unless the set counts. */
  readonly counters: { readonly packets: bigint; readonly bytes: bigint } | null;
}

/** A set as it is listed. `type` may be one that {@link SetType} does not name. */
export interface ListedSet extends Omit<SetSpec, "type"> {
  readonly type: SetType | (string & Record<never, never>);
  readonly revision: number;
  /** How many entries it has, listed or not; null: the kernel does not say (before 4.10). */
  readonly size: number | null;
  /** Rules that use it. */
  readonly references: number;
  /** Bytes. */
  readonly memorySize: number;
  readonly entries: readonly ListedEntry[];
}

const PROTOCOLS: ReadonlyMap<number, string> = new Map([
  [1, "icmp"],
  [6, "tcp"],
  [17, "udp"],
  [58, "icmpv6"],
  [132, "sctp"],
  [136, "udplite"],
]);

/** An entry as the ipset program writes it: "10.96.0.1,tcp:80,192.0.2.0/24". */
export function entryText(entry: SetEntry): string {
  const { address, prefix, port, toPort, protocol, address2, prefix2 } = entry;
  const network = (text: string, bits: number | undefined) =>
    bits === undefined ? text : `${text}/${bits}`;
  const parts: string[] = [];
  if (address !== undefined) parts.push(network(address, prefix));
  if (port !== undefined) {
    const ports = toPort === undefined ? `${port}` : `${port}-${toPort}`;
    parts.push(
      protocol === undefined ? ports : `${PROTOCOLS.get(protocol) ?? protocol}:${ports}`,
    );
  }
  if (address2 !== undefined) parts.push(network(address2, prefix2));
  return parts.join(",");
}

type EntryValues = ValuesOf<typeof ENTRY>;

/** The attributes of an entry. */
export function entryAttributes(entry: SetEntry, line?: number): EntryValues {
  const { nomatch, ...rest } = entry;
  return { ...rest, flags: nomatch ? NOMATCH : undefined, line };
}

function readEntry(values: EntryValues): ListedEntry {
  const { flags = 0, line: _, packets, bytes, ...rest } = values;
  return {
    ...rest,
    ...((flags & NOMATCH) === 0 ? {} : { nomatch: true }),
    counters: packets === undefined && bytes === undefined
      ? null
      : { packets: packets ?? 0n, bytes: bytes ?? 0n },
  };
}

/** The sets of a dump. Of a large set, the messages after the first repeat only its name. */
export function readSets(messages: readonly Message[]): ListedSet[] {
  const sets: (Omit<ListedSet, "entries"> & { readonly entries: ListedEntry[] })[] = [];
  for (const { payload } of messages) {
    const { name = "", type, family = 0, revision = 0, data, entries } = SET.decode(payload)
      .attributes;
    if (type !== undefined) {
      const { flags = 0 } = data ?? {};
      sets.push({
        name,
        type,
        family: familyName(family) ?? undefined,
        revision,
        timeout: data?.timeout,
        hashSize: data?.hashSize,
        maxElements: data?.maxElements,
        ...(data?.port === undefined
          ? {}
          : { ports: { from: data.port, to: data.toPort ?? data.port } }),
        counters: (flags & WITH_COUNTERS) !== 0,
        comments: (flags & WITH_COMMENT) !== 0,
        size: data?.elements ?? null,
        references: data?.references ?? 0,
        memorySize: data?.memorySize ?? 0,
        entries: [],
      });
    }
    const set = sets.at(-1);
    if (set?.name !== name) throw malformed(`a list of ipsets goes on with ${name}, not begun`);
    // Not push(...): a message may hold thousands.
    for (const entry of entries?.entries ?? []) set.entries.push(readEntry(entry));
  }
  return sets;
}

/** IPSET_ERR_*, from 4097 on. */
const ERRORS: readonly (readonly [code: string, meaning: string])[] = [
  ["IPSET_ERR_PROTOCOL", "the request is malformed, or an address is of the wrong family"],
  ["IPSET_ERR_FIND_TYPE", "the kernel lacks this type of set"],
  ["IPSET_ERR_MAX_SETS", "there are too many sets"],
  ["IPSET_ERR_BUSY", "the set is in use"],
  ["IPSET_ERR_EXIST_SETNAME2", "the second name is taken, or missing"],
  ["IPSET_ERR_TYPE_MISMATCH", "the two sets are of different types"],
  ["IPSET_ERR_EXIST", "the entry is there already, or is not there"],
  ["IPSET_ERR_INVALID_CIDR", "the prefix length is out of range"],
  ["IPSET_ERR_INVALID_NETMASK", "the netmask is out of range"],
  ["IPSET_ERR_INVALID_FAMILY", "the address family is not possible"],
  ["IPSET_ERR_TIMEOUT", "entries of this set do not expire"],
  ["IPSET_ERR_REFERENCED", "a rule uses the set"],
  ["IPSET_ERR_IPADDR_IPV4", "an IPv4 address is expected"],
  ["IPSET_ERR_IPADDR_IPV6", "an IPv6 address is expected"],
  ["IPSET_ERR_COUNTER", "the set does not count"],
  ["IPSET_ERR_COMMENT", "entries of this set have no comment"],
  ["IPSET_ERR_INVALID_MARKMASK", "the mark's mask is not possible"],
  ["IPSET_ERR_SKBINFO", "the set holds no packet metadata"],
];

/** IPSET_ERR_HASH_* and IPSET_ERR_BITMAP_*, from 4352 on: the type of the set says which. */
const HASH_ERRORS: typeof ERRORS = [
  ["IPSET_ERR_HASH_FULL", "the set is full"],
  ["IPSET_ERR_HASH_ELEM", "the entry has a part that is zero"],
  ["IPSET_ERR_INVALID_PROTO", "protocol 0 is not possible"],
  ["IPSET_ERR_MISSING_PROTO", "the protocol is missing"],
  ["IPSET_ERR_HASH_RANGE_UNSUPPORTED", "no range is possible"],
  ["IPSET_ERR_HASH_RANGE", "the range is not possible"],
];
const BITMAP_ERRORS: typeof ERRORS = [
  ["IPSET_ERR_BITMAP_RANGE", "outside the set's range"],
  ["IPSET_ERR_BITMAP_RANGE_SIZE", "the set's range is too large"],
];

/** The same error with ipset's own name of its number and what it means. */
export function explainSetError(error: NetlinkError, type?: string): NetlinkError {
  const own = type?.startsWith("bitmap:") ? BITMAP_ERRORS : HASH_ERRORS;
  const known = error.errno >= 4352 ? own[error.errno - 4352] : ERRORS[error.errno - 4097];
  if (known === undefined) return error;
  const [code, meaning] = known;
  const extended = { ...error.extended, message: error.extended.message ?? meaning };
  return new NetlinkError(error.errno, error.what, extended, code);
}
