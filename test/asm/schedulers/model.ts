/**
 * Linux's IPVS schedulers in the plainest way: lists that are walked, tables that are filled, caches
 * that are maps. Written from what net/netfilter/ipvs does, not from the engine.
 *
 * @module
 */

import { addressBytes } from "../../../src/net/address.ts";
import type { SchedulerFlagName, SchedulerName } from "../../../src/plan/plan.ts";

/** A server of a virtual server. The object stays the same when it is deleted and added again. */
export interface Server {
  readonly address: string;
  readonly port: number;
  weight: number;
  lastWeight: number;
  active: number;
  inactive: number;
  available: boolean;
}

/** What of a packet enters. */
export interface Flow {
  readonly source: string;
  readonly sourcePort: number;
  readonly dest: string;
}

/** How a model is made. */
export interface ModelOptions {
  readonly flags?: readonly SchedulerFlagName[];
  readonly overhead?: "all" | "inactive";
}

type Overhead = (server: Server) => number;

/** An address as one 32-bit number, IPv6 folded. */
export function fold(address: string): number {
  const bytes = addressBytes(address);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 4) sum ^= view.getUint32(at);
  return sum >>> 0;
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

/** The first server with weight is the least so far; a later one must be better. */
function weightedLeast(list: readonly Server[], cost: Overhead): Server | null {
  let least: Server | null = null;
  for (const server of list) {
    if (server.weight === 0) continue;
    if (
      least === null ||
      BigInt(cost(least)) * BigInt(server.weight) > BigInt(cost(server)) * BigInt(least.weight)
    ) least = server;
  }
  return least;
}

/** A virtual server with a scheduler. */
export abstract class Model {
  /** Newest first. */
  readonly list: Server[] = [];
  protected readonly flags: readonly SchedulerFlagName[];
  protected readonly overhead: Overhead;

  constructor({ flags = [], overhead = "all" }: ModelOptions = {}) {
    this.flags = flags;
    this.overhead = overhead === "all"
      ? ({ active, inactive }) => active * 256 + (active + inactive)
      : ({ active, inactive }) => active * 256 + inactive;
  }

  add(server: Server, weight: number): void {
    server.weight = server.lastWeight = weight;
    server.available = true;
    this.list.unshift(server);
    this.changed("add");
  }

  edit(server: Server, weight: number): void {
    server.weight = weight;
    if (weight !== 0) server.lastWeight = weight;
    this.changed("edit");
  }

  delete(server: Server): void {
    const index = this.list.indexOf(server);
    this.list.splice(index, 1);
    server.available = false;
    this.removed(server, index === 0 ? null : this.list[index - 1]);
    this.changed("delete");
  }

  /** The server for a new connection. */
  abstract schedule(flow: Flow): Server | null;

  protected changed(_how: "add" | "edit" | "delete"): void {}
  protected removed(_server: Server, _before: Server | null): void {}
}

class RoundRobin extends Model {
  /** null: the head. */
  #last: Server | null = null;

  protected override removed(server: Server, before: Server | null) {
    if (this.#last === server) this.#last = before;
  }

  schedule(): Server | null {
    const from = this.#last === null ? 0 : this.list.indexOf(this.#last) + 1;
    for (const server of [...this.list.slice(from), ...this.list.slice(0, from)]) {
      if (server.weight > 0) return this.#last = server;
    }
    return null;
  }
}

class WeightedRoundRobin extends Model {
  #current = -1;
  #cw = 0;
  #mw = 0;
  #di = 1;

  protected override changed() {
    this.#current = -1;
    const weights = this.list.map(({ weight }) => weight).filter((weight) => weight > 0);
    this.#di = weights.reduce(gcd, 0) || 1;
    this.#mw = Math.max(0, ...weights) - (this.#di - 1);
    if (this.#cw > this.#mw || this.#cw === 0) this.#cw = this.#mw;
    else if (this.#di > 1) this.#cw = Math.trunc(this.#cw / this.#di) * this.#di + 1;
  }

  schedule(): Server | null {
    if (this.#mw === 0) return null;
    const last = this.#current;
    let stop = -1;
    let lastPass = false;
    let restarted = false;
    for (;;) {
      for (let i = this.#current + 1; i < this.list.length; i++) {
        if (this.list[i].weight >= this.#cw) {
          this.#current = i;
          return this.list[i];
        }
        if (i === stop) return null;
      }
      this.#current = -1;
      this.#cw -= this.#di;
      if (this.#cw <= 0) {
        this.#cw = this.#mw;
        if (lastPass || last === -1) return null;
        restarted = true;
      }
      lastPass = this.#cw <= this.#di;
      if (lastPass && restarted && last !== -1) stop = last;
    }
  }
}

class LeastConnection extends Model {
  schedule(): Server | null {
    let least: Server | null = null;
    for (const server of this.list) {
      if (server.weight === 0) continue;
      if (least === null || this.overhead(server) < this.overhead(least)) least = server;
    }
    return least;
  }
}

class WeightedLeastConnection extends Model {
  schedule(): Server | null {
    return weightedLeast(this.list, this.overhead);
  }
}

class ShortestExpectedDelay extends Model {
  schedule(): Server | null {
    return weightedLeast(this.list, ({ active }) => active + 1);
  }
}

class NeverQueue extends Model {
  schedule(): Server | null {
    const idle = this.list.find(({ active, weight }) => weight > 0 && active === 0);
    return idle ?? weightedLeast(this.list, ({ active }) => active + 1);
  }
}

class Failover extends Model {
  schedule(): Server | null {
    let highest: Server | null = null;
    for (const server of this.list) if (server.weight > (highest?.weight ?? 0)) highest = server;
    return highest;
  }
}

class Overflow extends Model {
  schedule(): Server | null {
    let highest: Server | null = null;
    for (const server of this.list) {
      if (server.active > server.weight) continue;
      if (server.weight > (highest?.weight ?? 0)) highest = server;
    }
    return highest;
  }
}

const hash8 = (n: number) => Math.imul(n, 0x61c88647) >>> 24;

class DestinationHashing extends Model {
  #table: (Server | null)[] = [];

  protected override changed(how: string) {
    if (how === "edit") return;
    this.#table = Array.from({ length: 256 }, (_, i) => this.list[i % this.list.length] ?? null);
  }

  schedule({ dest }: Flow): Server | null {
    const server = this.#table[hash8(fold(dest))] ?? null;
    return server !== null && server.available && server.weight > 0 ? server : null;
  }
}

class SourceHashing extends Model {
  #table: (Server | null)[] = [];

  protected override changed() {
    let cursor = 0;
    let count = 0;
    this.#table = Array.from({ length: 256 }, () => {
      if (this.list.length === 0) return null;
      const server = this.list[cursor];
      if (++count >= server.weight) {
        cursor = (cursor + 1) % this.list.length;
        count = 0;
      }
      return server;
    });
  }

  schedule({ source, sourcePort }: Flow): Server | null {
    const port = this.flags.includes("sh-port") ? sourcePort : 0;
    const key = (offset: number) => (offset + hash8(port + fold(source))) & 255;
    const own = this.#table[key(0)] ?? null;
    if (own === null || own.weight > 0) return own;
    if (!this.flags.includes("sh-fallback")) return null;
    for (let offset = 0; offset < 256; offset++) {
      const server = this.#table[key((offset + key(0)) & 255)]!;
      if (server.weight > 0) return server;
    }
    return null;
  }
}

const MASK = (1n << 64n) - 1n;

/** SipHash-1-3 of four bytes, the low half. */
function siphash(word: number, key: bigint): number {
  const rotate = (x: bigint, by: bigint) => ((x << by) | (x >> (64n - by))) & MASK;
  let [a, b, c, d] = [
    0x736f6d6570736575n ^ key,
    0x646f72616e646f6dn ^ key,
    0x6c7967656e657261n ^ key,
    0x7465646279746573n ^ key,
  ];
  const round = () => {
    a = (a + b) & MASK;
    b = rotate(b, 13n) ^ a;
    a = rotate(a, 32n);
    c = (c + d) & MASK;
    d = rotate(d, 16n) ^ c;
    a = (a + d) & MASK;
    d = rotate(d, 21n) ^ a;
    c = (c + b) & MASK;
    b = rotate(b, 17n) ^ c;
    c = rotate(c, 32n);
  };
  const block = (4n << 56n) | BigInt(word);
  d ^= block;
  round();
  a ^= block;
  c ^= 0xffn;
  round();
  round();
  round();
  return Number((a ^ b ^ c ^ d) & 0xffffffffn);
}

const SIZE = 4093;

class MaglevHashing extends Model {
  #table: Server[] = [];

  protected override changed() {
    const weights = this.list.map(({ lastWeight }) => lastWeight).filter((weight) => weight > 0);
    this.#table = [];
    if (weights.length === 0) return;
    const divisor = weights.reduce(gcd, 0);
    const bits = Math.floor(Math.max(...weights) / divisor).toString(2).length;
    const shift = Math.max(bits - 6, 0);
    const walks = this.list.map((server) => {
      const word = (server.port + fold(server.address)) >>> 0;
      const turns = Math.floor(server.lastWeight / divisor) >> shift;
      return {
        server,
        at: siphash(word, 2654435761n) % SIZE,
        skip: siphash(word, 2654446892n) % (SIZE - 1) + 1,
        turns: turns === 0 && server.lastWeight !== 0 ? 1 : turns,
      };
    });
    const table = new Array<Server | undefined>(SIZE).fill(undefined);
    for (let filled = 0; filled < SIZE;) {
      for (const walk of walks) {
        for (let turn = 0; turn < walk.turns && filled < SIZE; turn++) {
          while (table[walk.at] !== undefined) walk.at = (walk.at + walk.skip) % SIZE;
          table[walk.at] = walk.server;
          filled++;
        }
      }
    }
    this.#table = table as Server[];
  }

  schedule({ source, sourcePort }: Flow): Server | null {
    const port = this.flags.includes("mh-port") ? sourcePort : 0;
    const word = (offset: number) => (offset + port + fold(source)) >>> 0;
    const bucket = (offset: number) => siphash(word(offset), 2654435761n) % SIZE;
    const hash = bucket(0);
    const own = this.#table[hash] ?? null;
    if (own === null || own.weight > 0) return own;
    if (!this.flags.includes("mh-fallback")) return null;
    for (let offset = 0; offset < SIZE; offset++) {
      const server = this.#table[bucket((offset + hash) % SIZE)];
      if (server.weight > 0) return server;
    }
    return null;
  }
}

abstract class LocalityBased extends Model {
  protected isOverloaded({ active, weight }: Server): boolean {
    return active > weight && this.list.some((other) => other.active * 2 < other.weight);
  }
}

class LocalityBasedLeastConnection extends LocalityBased {
  readonly #cache = new Map<string, Server>();

  schedule({ dest }: Flow): Server | null {
    const cached = this.#cache.get(dest);
    if (cached?.available && cached.weight > 0 && !this.isOverloaded(cached)) return cached;
    const least = weightedLeast(this.list, this.overhead);
    if (least !== null) this.#cache.set(dest, least);
    return least;
  }
}

class LocalityBasedWithReplication extends LocalityBased {
  readonly #sets = new Map<string, Server[]>();

  schedule({ dest }: Flow): Server | null {
    const set = this.#sets.get(dest) ?? [];
    const best = weightedLeast(set.filter(({ available }) => available), this.overhead);
    if (best !== null && !this.isOverloaded(best)) return best;
    const least = weightedLeast(this.list, this.overhead);
    if (least === null) return null;
    if (!set.includes(least)) set.unshift(least);
    this.#sets.set(dest, set);
    return least;
  }
}

/** The schedulers without chance. */
export const MODELS = {
  rr: RoundRobin,
  wrr: WeightedRoundRobin,
  lc: LeastConnection,
  wlc: WeightedLeastConnection,
  lblc: LocalityBasedLeastConnection,
  lblcr: LocalityBasedWithReplication,
  dh: DestinationHashing,
  sh: SourceHashing,
  sed: ShortestExpectedDelay,
  nq: NeverQueue,
  fo: Failover,
  ovf: Overflow,
  mh: MaglevHashing,
} as const satisfies Partial<Record<SchedulerName, new (options?: ModelOptions) => Model>>;
