/**
 * A kernel in memory that answers as Linux does, for what the virtual machine would be too slow for:
 * thousands of syncs, each cut off somewhere. What the real one does is tested in the machine.
 */

import { DUMMY_DEVICE } from "../../../src/dataplane/ipvs/state.ts";
import type { Kernel, NodeAddresses, NodeSet } from "../../../src/dataplane/ipvs/kernel.ts";
import type { RulesAccess } from "../../../src/dataplane/iptables/apply.ts";
import type { ItemChange } from "../../../src/dataplane/ipvs/change.ts";
import { ERRNO } from "../../../src/linux/errno.ts";
import { type Family, familyOf } from "../../../src/net/address.ts";
import {
  endText,
  type IpvsChange,
  type ListedRealServer,
  type ListedVirtualServer,
  type RealServer,
  serverText,
  type VirtualServer,
  type VirtualServerId,
} from "../../../src/netlink/generic/ipvs.ts";
import { NO_STATISTICS } from "../../../src/netlink/generic/ipvs_server.ts";
import { NetlinkError } from "../../../src/netlink/error.ts";
import { restore, savedText, type Tables } from "../iptables/interpreter.ts";

/** What a process throws that ends here: nothing after it happens. */
export class Killed extends Error {}

interface FakeServer {
  listed: ListedVirtualServer;
  /** The last added first. */
  reals: ListedRealServer[];
}

/** A node's kernel and its iptables. */
export class FakeNode implements Kernel, RulesAccess {
  readonly chainLimit = Infinity;
  readonly vips = new Map<string, FakeServer>();
  readonly setsByName = new Map<string, { type: string; family: Family; entries: Set<string> }>();
  /** Null: there is no kube-ipvs0. */
  device: Set<string> | null = null;
  readonly otherLinks = new Set(["192.168.50.10", "fd00:50::10"]);
  /** Addresses that are no host's, as the kernel knows from the networks of its links. */
  readonly nobodys = new Set<string>();
  readonly tables = { IPv4: emptyTables(), IPv6: emptyTables() };
  /** Changes that are still carried out. */
  left = Infinity;
  /** Changes that were made: what a sync costs. */
  changes = 0;
  /** Messages to IPVS in the order of their coming. */
  readonly messages: string[] = [];

  servers(): readonly ListedVirtualServer[] {
    return [...this.vips.values()].map(({ listed }) => listed);
  }

  reals(id: VirtualServerId): readonly ListedRealServer[] {
    return this.vips.get(serverText(id))?.reals ?? [];
  }

  changeServers(changes: readonly IpvsChange[]): readonly (NetlinkError | null)[] {
    return changes.map((change) => {
      this.#spend();
      const { verb, server, real } = change;
      const what = real === undefined
        ? `${verb} ${serverText(server)}`
        : `${verb} ${endText(real)} of ${serverText(server)}`;
      this.messages.push(what);
      const errno = this.#changeServer(change);
      return errno === 0 ? null : new NetlinkError(errno, what);
    });
  }

  #changeServer(change: IpvsChange): number {
    const { verb, server } = change;
    const name = serverText(server);
    const found = this.vips.get(name);
    if (change.real !== undefined) {
      if (found === undefined) return ERRNO.ESRCH;
      return this.#changeReal(found, change);
    }
    if (verb === "add" && found !== undefined) return ERRNO.EEXIST;
    if (verb !== "add" && found === undefined) return ERRNO.ESRCH;
    if (verb === "remove") this.vips.delete(name);
    else {
      const listed: ListedVirtualServer = {
        schedulerFlags: 0,
        onePacket: false,
        persistence: null,
        engine: null,
        ...change.server as VirtualServer,
        statistics: NO_STATISTICS,
      } as ListedVirtualServer;
      if (found === undefined) this.vips.set(name, { listed, reals: [] });
      else found.listed = listed;
    }
    return 0;
  }

  #changeReal(server: FakeServer, { verb, real }: IpvsChange): number {
    const place = server.reals.findIndex((one) => endText(one) === endText(real!));
    if (verb === "add" && this.nobodys.has(real!.address)) return ERRNO.EINVAL;
    if (verb === "add" && place >= 0) return ERRNO.EEXIST;
    if (verb !== "add" && place < 0) return ERRNO.ENOENT;
    if (verb === "remove") server.reals.splice(place, 1);
    else {
      const listed: ListedRealServer = {
        method: "masquerade",
        upperThreshold: 0,
        lowerThreshold: 0,
        activeConnections: server.reals[place]?.activeConnections ?? 0,
        inactiveConnections: 0,
        persistentConnections: 0,
        ...real as RealServer,
        statistics: NO_STATISTICS,
      };
      if (verb === "add") server.reals.unshift(listed);
      else server.reals[place] = listed;
    }
    return 0;
  }

  /** Gives a real server so many connections. */
  connect(server: string, real: string, activeConnections: number): void {
    const { reals } = this.vips.get(server)!;
    const place = reals.findIndex((one) => endText(one) === real);
    reals[place] = { ...reals[place], activeConnections };
  }

  set(name: string): NodeSet | null {
    const found = this.setsByName.get(name);
    if (found === undefined) return null;
    const { type, family, entries } = found;
    const ports = type === "bitmap:port";
    return { name, type, family: ports ? null : family, entries: [...entries].sort() };
  }

  setSizes(): ReadonlyMap<string, number> {
    return new Map([...this.setsByName].map(([name, { entries }]) => [name, entries.size]));
  }

  createSet({ name, type }: { name: string; type: string }, family: Family): void {
    this.#spend();
    if (this.setsByName.has(name)) throw new NetlinkError(ERRNO.EEXIST, `create ${name}`);
    this.setsByName.set(name, { type, family, entries: new Set() });
  }

  enlargeSet(): void {
    this.#spend();
  }

  changeSet(
    { name }: { readonly name: string },
    { added = [], removed = [] }: Partial<ItemChange>,
  ): readonly string[] {
    const found = this.setsByName.get(name);
    if (found === undefined) return [`there is no set ${name}`];
    for (const entry of removed) {
      this.#spend();
      found.entries.delete(entry);
    }
    for (const entry of added) {
      this.#spend();
      found.entries.add(entry);
    }
    return [];
  }

  ensureDevice(): void {
    this.device ??= new Set();
  }

  addresses(family: Family): NodeAddresses {
    const own = (addresses: Iterable<string>) =>
      [...addresses].filter((address) => familyOf(address) === family);
    return { onDevice: own(this.device ?? []), elsewhere: own(this.otherLinks) };
  }

  changeAddresses({ added, removed }: ItemChange): readonly string[] {
    if (this.device === null) return [`there is no ${DUMMY_DEVICE}`];
    for (const address of added) {
      this.#spend();
      this.device.add(address);
    }
    for (const address of removed) {
      this.#spend();
      this.device.delete(address);
    }
    return [];
  }

  read(family: Family): Promise<string> {
    return Promise.resolve(savedText(this.tables[family]));
  }

  async readPieces(family: Family, take: (piece: string) => void): Promise<void> {
    take(await this.read(family));
  }

  restore(family: Family, text: string): Promise<void> {
    for (const part of text.split(/(?<=^COMMIT\n)/m)) {
      this.#spend();
      restore(this.tables[family], part);
    }
    return Promise.resolve();
  }

  listChain(family: Family, table: string, chain: string): Promise<string | null> {
    return Promise.resolve(this.tables[family].get(table)!.get(chain)?.join("\n") ?? null);
  }

  /** Everything that is there, to be compared. */
  get contents() {
    const sorted = <T>(map: Iterable<readonly [string, T]>) =>
      [...map].sort(([a], [b]) => a < b ? -1 : 1);
    return {
      servers: sorted([...this.vips].map(([name, { listed, reals }]) => {
        const { scheduler, schedulerFlags, persistence } = listed;
        const ends = reals.map((real) => `${endText(real)} ${real.weight}`).sort();
        return [name, { scheduler, schedulerFlags, persistence, ends }] as const;
      })),
      sets: sorted(
        [...this.setsByName].map(([name, { type, entries }]) =>
          [name, { type, entries: [...entries].sort() }] as const
        ),
      ),
      device: [...this.device ?? []].sort(),
      tables: Object.values(this.tables).map((tables) =>
        [...tables].map(([table, chains]) => [table, sorted(chains)])
      ),
    };
  }

  #spend(): void {
    if (this.left-- <= 0) throw new Killed("killed");
    this.changes++;
  }
}

function emptyTables(): Tables {
  return new Map([
    ["filter", new Map([["INPUT", []], ["FORWARD", []], ["OUTPUT", []]])],
    ["nat", new Map([["PREROUTING", []], ["OUTPUT", []], ["POSTROUTING", []]])],
    ["mangle", new Map()],
  ]);
}
