/**
 * Sets of addresses and ports in the kernel (ipset), without the ipset program.
 *
 * ```ts
 * using ipset = Ipset.open();
 * ipset.create({ name: "KUBE-CLUSTER-IP", type: "hash:ip,port" }, { exist: true });
 * const refused = ipset.change([
 *   { set: "KUBE-CLUSTER-IP", type: "hash:ip,port", verb: "add", entries },
 * ]);
 * ```
 *
 * @module
 */

import { familyNumber } from "../family.ts";
import { type Message, NetlinkError, NLM_F_EXCL, type Request } from "../message.ts";
import { NETLINK_NETFILTER, NetlinkSocket } from "../socket.ts";
import {
  CHANGE,
  COMMAND,
  LIST_HEADERS,
  LIST_NAMES,
  NAMED,
  SET,
  WITH_COMMENT,
  WITH_COUNTERS,
} from "./ipset_formats.ts";
import {
  entryAttributes,
  entryText,
  explainSetError,
  KNOWN_REVISIONS,
  type ListedSet,
  readSets,
  type SetEntry,
  type SetSpec,
  type SetType,
} from "./ipset_set.ts";

export {
  entryText,
  type ListedEntry,
  type ListedSet,
  type SetEntry,
  type SetSpec,
  type SetType,
} from "./ipset_set.ts";

/** Bytes of entries in one message; a nest has less than 65536. */
const CHUNK_BYTES = 60_000;
/** Bytes that an entry takes at most, beside its comment. */
const ENTRY_BYTES = 128;
/** The newest protocol that is spoken here. */
const PROTOCOL = 7;
/** Every kernel accepts this one in the question for its protocol. */
const OLDEST_PROTOCOL = 6;
/** What a request's own line holds until the kernel writes the refused entry's into it. */
const NO_LINE = 0xffffffff;
/** IPSET_ERR_EXIST: the entry is there (add) or not there (remove, test). */
const ERR_EXIST = 4103;

/** Whether doing what is done already is fine (default: no). */
export interface ExistOptions {
  readonly exist?: boolean;
}

/** Entries to add to or remove from a set. */
export interface SetChange extends ExistOptions {
  readonly set: string;
  /** The type of the set, which the kernel's errors depend on. */
  readonly type: SetType;
  readonly verb: "add" | "remove";
  readonly entries: readonly SetEntry[];
}

/** A part of a change that was refused. */
export interface SetRefusal {
  readonly change: SetChange;
  /** The entry, or null: all that were left of the change, as the set is missing, for instance. */
  readonly entry: SetEntry | null;
  readonly error: NetlinkError;
}

/** The sets of a namespace. Calls are synchronous and throw NetlinkError. */
export class Ipset {
  readonly #revisions = new Map<string, number>();

  private constructor(
    readonly socket: NetlinkSocket,
    /** The version of ipset's protocol that the kernel and we speak. */
    readonly protocol: number,
  ) {}

  /**
   * For the namespace that this thread is in now, wherever it goes later. Throws when the kernel
   * has no ipset; asking loads its module.
   */
  static open(): Ipset {
    const socket = NetlinkSocket.open(NETLINK_NETFILTER, { repeatRequests: true });
    try {
      const [answer] = socket.request({
        type: COMMAND.protocol,
        payload: SET.encode({}, { protocol: OLDEST_PROTOCOL }),
        format: SET,
        what: "ask for the protocol of ipset",
      });
      const offered = answer && SET.decode(answer.payload).attributes.protocol;
      return new Ipset(socket, Math.min(PROTOCOL, offered ?? OLDEST_PROTOCOL));
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  /** Creates a set: EEXIST when one of that name is there, or with `exist` a different one. */
  create(spec: SetSpec, { exist = false }: ExistOptions = {}): void {
    const { name, type, timeout, hashSize, maxElements, counters, comments } = spec;
    const bitmap = type === "bitmap:port";
    const family = bitmap ? undefined : spec.family ?? "IPv4";
    const { from, to } = spec.ports ?? { from: 0, to: 0xffff };
    const flags = (counters ? WITH_COUNTERS : 0) | (comments ? WITH_COMMENT : 0);
    this.#request({
      type: COMMAND.create,
      flags: exist ? 0 : NLM_F_EXCL,
      payload: SET.encode({}, {
        protocol: this.protocol,
        name,
        type,
        revision: this.#revision(type, familyNumber(family)),
        family: familyNumber(family),
        data: {
          ...(bitmap ? { port: from, toPort: to } : {}),
          timeout,
          hashSize,
          maxElements,
          flags: flags || undefined,
        },
      }),
      format: SET,
      what: `create the set ${name} of type ${type}`,
    }, type);
  }

  /** Removes a set: ENOENT when it is missing, IPSET_ERR_BUSY while a rule uses it. */
  destroy(name: string, { exist = false }: ExistOptions = {}): void {
    this.#named(COMMAND.destroy, `destroy the set ${name}`, name, undefined, exist);
  }

  /** Empties a set. */
  flush(name: string): void {
    this.#named(COMMAND.flush, `flush the set ${name}`, name);
  }

  rename(name: string, newName: string): void {
    this.#named(COMMAND.rename, `rename the set ${name} to ${newName}`, name, newName);
  }

  /**
   * Exchanges the contents of two sets of one type at once; rules that use either name see the
   * other's contents.
   */
  swap(name: string, other: string): void {
    this.#named(COMMAND.swap, `swap the sets ${name} and ${other}`, name, other);
  }

  /** All sets with their entries; or the one of that name, ENOENT when it is missing. */
  list(name?: string): ListedSet[] {
    return this.#list(name, undefined);
  }

  /** {@link list} without entries. */
  headers(name?: string): ListedSet[] {
    return this.#list(name, LIST_HEADERS);
  }

  /** The names of all sets. */
  names(): string[] {
    return this.#dump(undefined, LIST_NAMES)
      .map(({ payload }) => SET.decode(payload).attributes.name ?? "");
  }

  /** Whether an entry is in a set; of networks, whether the address is in one of them. */
  test(set: string, type: SetType, entry: SetEntry): boolean {
    try {
      this.#request({
        type: COMMAND.test,
        payload: CHANGE.encode({}, {
          protocol: this.protocol,
          name: set,
          data: entryAttributes(entry),
        }),
        format: CHANGE,
        what: `look for ${entryText(entry)} in the set ${set}`,
      }, type);
      return true;
    } catch (error) {
      if (error instanceof NetlinkError && error.errno === ERR_EXIST) return false;
      throw error;
    }
  }

  /** Adds entries; when some are refused it throws the first refusal, after trying all. */
  add(set: string, type: SetType, entries: readonly SetEntry[], options: ExistOptions = {}): void {
    const [refused] = this.change([{ ...options, set, type, verb: "add", entries }]);
    if (refused !== undefined) throw refused.error;
  }

  /** Removes entries; when some are refused it throws the first refusal, after trying all. */
  remove(
    set: string,
    type: SetType,
    entries: readonly SetEntry[],
    options: ExistOptions = {},
  ): void {
    const [refused] = this.change([{ ...options, set, type, verb: "remove", entries }]);
    if (refused !== undefined) throw refused.error;
  }

  /**
   * Carries out many changes with few system calls. An entry that is refused does not stop the
   * others. Entries of one set are changed in order; sets are independent.
   */
  change(changes: readonly SetChange[]): SetRefusal[] {
    const refusals: SetRefusal[] = [];
    let chunks = changes.flatMap(chunksOf);
    while (chunks.length > 0) {
      const results = this.socket.batch(chunks.map((chunk) => this.#changeRequest(chunk)));
      chunks = chunks.flatMap((chunk, place) => {
        const result = results[place];
        if (result === null) return [];
        const error = explainSetError(result, chunk.change.type);
        const line = refusedLine(result);
        const known = line !== null && line >= chunk.start && line < chunk.end;
        refusals.push({
          change: chunk.change,
          entry: known ? chunk.change.entries[line] : null,
          error: known ? aboutEntry(error, chunk.change, line) : error,
        });
        // The kernel stopped at the refused entry; those before it are done.
        return known && line + 1 < chunk.end ? [{ ...chunk, start: line + 1 }] : [];
      });
    }
    return refusals;
  }

  close(): void {
    this.socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #changeRequest({ change, start, end }: Chunk): Request {
    const { set, verb, entries, exist = false } = change;
    return {
      type: COMMAND[verb],
      flags: exist ? 0 : NLM_F_EXCL,
      payload: CHANGE.encode({}, {
        protocol: this.protocol,
        name: set,
        entries: {
          entries: entries.slice(start, end).map((entry, i) => entryAttributes(entry, start + i)),
        },
        line: NO_LINE,
      }),
      format: CHANGE,
      what: verb === "add" ? `add to the set ${set}` : `remove from the set ${set}`,
    };
  }

  /** The newest revision of a type that both know; ipset's IPSET_ERR_FIND_TYPE without the type. */
  #revision(type: SetType, family: number): number {
    const key = `${type} ${family}`;
    let revision = this.#revisions.get(key);
    if (revision === undefined) {
      const [answer] = this.#request({
        type: COMMAND.type,
        payload: SET.encode({}, { protocol: this.protocol, type, family }),
        format: SET,
        what: `ask for the type ${type} of ipset`,
      });
      const newest = answer && SET.decode(answer.payload).attributes.revision;
      revision = Math.min(newest ?? 0, KNOWN_REVISIONS[type]);
      this.#revisions.set(key, revision);
    }
    return revision;
  }

  #named(type: number, what: string, name: string, second?: string, exist = false): void {
    this.#request({
      type,
      flags: exist ? 0 : NLM_F_EXCL,
      payload: NAMED.encode({}, { protocol: this.protocol, name, second }),
      format: NAMED,
      what,
    });
  }

  #list(name: string | undefined, flags: number | undefined): ListedSet[] {
    return readSets(this.#dump(name, flags));
  }

  #dump(name: string | undefined, flags: number | undefined): Message[] {
    try {
      return this.socket.dump({
        type: COMMAND.list,
        payload: SET.encode({}, { protocol: this.protocol, name, flags }),
        format: SET,
        what: name === undefined ? "list sets" : `list the set ${name}`,
      });
    } catch (error) {
      throw error instanceof NetlinkError ? explainSetError(error) : error;
    }
  }

  #request(request: Request, type?: string): Message[] {
    try {
      return this.socket.request(request);
    } catch (error) {
      throw error instanceof NetlinkError ? explainSetError(error, type) : error;
    }
  }
}

/** Entries start to end − 1 of a change, as one message. */
interface Chunk {
  readonly change: SetChange;
  readonly start: number;
  readonly end: number;
}

function chunksOf(change: SetChange): Chunk[] {
  const chunks: Chunk[] = [];
  for (let start = 0, end = 0; start < change.entries.length; start = end) {
    for (let bytes = 0; end < change.entries.length; end++) {
      // UTF-8 takes at most three bytes for a unit of UTF-16.
      bytes += ENTRY_BYTES + 3 * (change.entries[end].comment?.length ?? 0);
      if (bytes > CHUNK_BYTES && end > start) break;
    }
    chunks.push({ change, start, end });
  }
  return chunks;
}

/** The line of the refused entry, which the kernel writes into the request that it sends back. */
function refusedLine(error: NetlinkError): number | null {
  const { request } = error.extended;
  if (request === undefined || request.length < CHANGE.headerSize) return null;
  return CHANGE.decode(request).attributes.line ?? null;
}

function aboutEntry(error: NetlinkError, change: SetChange, line: number): NetlinkError {
  const text = entryText(change.entries[line]);
  const what = change.verb === "add"
    ? `add ${text} to the set ${change.set}`
    : `remove ${text} from the set ${change.set}`;
  return new NetlinkError(error.errno, what, error.extended, error.code);
}
