/**
 * What ipvs mode reads from a node's kernel and does there, besides rules.
 *
 * @module
 */

import { ERRNO } from "../../linux/errno.ts";
import type { Family } from "../../net/address.ts";
import {
  Ipvs,
  type IpvsChange,
  type ListedRealServer,
  type ListedVirtualServer,
  type VirtualServerId,
} from "../../netlink/generic/ipvs.ts";
import { NetlinkError } from "../../netlink/error.ts";
import { Ipset, type SetChange } from "../../netlink/netfilter/ipset.ts";
import { Rtnetlink } from "../../netlink/route/rtnetlink.ts";
import type { ItemChange } from "./change.ts";
import { memberText, parseMember } from "./members.ts";
import { SET_CAPACITY } from "./names.ts";
import { DUMMY_DEVICE, type IpSetState, type IpSetType } from "./state.ts";

/** What a set replaces another's entries with. */
const LARGER_SET = "SWITCHYARD-LARGER";

/** A set as a node has it. */
export interface NodeSet {
  readonly name: string;
  /** It may be any: someone else may have made the set. */
  readonly type: string;
  /** Null for sets of ports. */
  readonly family: Family | null;
  readonly entries: readonly string[];
}

/** The addresses of a node's links, apart by whether kube-ipvs0 has them. */
export interface NodeAddresses {
  readonly onDevice: readonly string[];
  readonly elsewhere: readonly string[];
}

/** The effects of ipvs mode on a kernel. Synchronous; what is refused is told, not thrown. */
export interface Kernel {
  servers(): readonly ListedVirtualServer[];
  reals(id: VirtualServerId): readonly ListedRealServer[];
  /** For each null or why it was refused. */
  changeServers(changes: readonly IpvsChange[]): readonly (NetlinkError | null)[];
  /** The set of that name, or null. */
  set(name: string): NodeSet | null;
  /** How many entries each set has, whoever made it; those of which that is not told are left out. */
  setSizes(): ReadonlyMap<string, number>;
  /** Makes an empty set; throws when there is one. */
  createSet(set: Pick<IpSetState, "name" | "type">, family: Family): void;
  /** Has a set take so many entries, if it does not; rules that use it see no moment without it. */
  enlargeSet(set: Pick<IpSetState, "name" | "type">, family: Family, capacity: number): void;
  /** Adds or removes entries; done already is fine. What was refused, one line each. */
  changeSet(
    set: { readonly name: string; readonly type: IpSetType },
    change: Partial<ItemChange>,
  ): readonly string[];
  /** Makes kube-ipvs0 unless it is there. */
  ensureDevice(): void;
  addresses(family: Family): NodeAddresses;
  /** Done already is fine. What was refused, one line each. */
  changeAddresses(change: ItemChange): readonly string[];
}

/** A real kernel, by netlink, in the namespace that the thread is in when it is opened. */
export class NetlinkKernel implements Kernel {
  readonly #ipvs: Ipvs;
  readonly #ipset: Ipset;
  readonly #net: Rtnetlink;

  private constructor(ipvs: Ipvs, ipset: Ipset, net: Rtnetlink) {
    this.#ipvs = ipvs;
    this.#ipset = ipset;
    this.#net = net;
  }

  /** Throws NetlinkError when the kernel has no IPVS or no ipset; asking loads the modules. */
  static open(): NetlinkKernel {
    using stack = new DisposableStack();
    const ipvs = stack.use(Ipvs.open());
    const ipset = stack.use(Ipset.open());
    const net = stack.use(Rtnetlink.open());
    stack.move();
    return new NetlinkKernel(ipvs, ipset, net);
  }

  get ipvs(): Ipvs {
    return this.#ipvs;
  }

  servers(): readonly ListedVirtualServer[] {
    return this.#ipvs.list();
  }

  reals(id: VirtualServerId): readonly ListedRealServer[] {
    return this.#ipvs.reals(id);
  }

  changeServers(changes: readonly IpvsChange[]): readonly (NetlinkError | null)[] {
    return this.#ipvs.apply(changes);
  }

  set(name: string): NodeSet | null {
    try {
      const [listed] = this.#ipset.list(name);
      const { type, family, entries } = listed;
      const ports = type === "bitmap:port";
      return {
        name,
        type,
        family: ports ? null : family ?? null,
        entries: entries.map(memberText).sort(),
      };
    } catch (error) {
      if (error instanceof NetlinkError && error.errno === ERRNO.ENOENT) return null;
      throw error;
    }
  }

  setSizes(): ReadonlyMap<string, number> {
    return new Map(
      this.#ipset.headers().flatMap(({ name, size }) => size === null ? [] : [[name, size]]),
    );
  }

  createSet({ name, type }: Pick<IpSetState, "name" | "type">, family: Family): void {
    this.#createSet({ name, type }, family, SET_CAPACITY);
  }

  enlargeSet(
    { name, type }: Pick<IpSetState, "name" | "type">,
    family: Family,
    capacity: number,
  ): void {
    const [listed] = this.#ipset.list(name);
    if ((listed.maxElements ?? Infinity) >= capacity) return;
    // Left by a process that was killed meanwhile.
    if (this.#ipset.names().includes(LARGER_SET)) this.#ipset.destroy(LARGER_SET);
    this.#createSet({ name: LARGER_SET, type }, family, capacity);
    const entries = listed.entries.map(({ counters: _, ...entry }) => entry);
    this.#ipset.add(LARGER_SET, type, entries);
    this.#ipset.swap(LARGER_SET, name);
    this.#ipset.destroy(LARGER_SET);
  }

  /** As kube-proxy's, so that either finds the other's sets fit. */
  #createSet(
    { name, type }: Pick<IpSetState, "name" | "type">,
    family: Family,
    maxElements: number,
  ): void {
    const hash = type === "bitmap:port" ? {} : { hashSize: 1024, maxElements };
    this.#ipset.create({ name, type, family, ...hash });
  }

  changeSet(
    { name, type }: { readonly name: string; readonly type: IpSetType },
    { added = [], removed = [] }: Partial<ItemChange>,
  ): readonly string[] {
    const part = (verb: SetChange["verb"], entries: readonly string[]): SetChange[] =>
      entries.length === 0
        ? []
        : [{ set: name, type, verb, exist: true, entries: entries.map(parseMember) }];
    return this.#ipset.change([...part("remove", removed), ...part("add", added)])
      .map(({ error }) => error.message);
  }

  /** As kube-proxy leaves it: down, which addresses on it don't mind. */
  ensureDevice(): void {
    if (this.#net.links.get(DUMMY_DEVICE) !== null) return;
    this.#net.links.createDummy({ name: DUMMY_DEVICE });
  }

  addresses(family: Family): NodeAddresses {
    const device = this.#net.links.get(DUMMY_DEVICE)?.index ?? null;
    const onDevice: string[] = [];
    const elsewhere: string[] = [];
    for (const { address, link, scope } of this.#net.addresses.list({ family })) {
      // Those of one link mean nothing to others, and come and go with pods.
      if (scope === "link") continue;
      (link === device ? onDevice : elsewhere).push(address);
    }
    return { onDevice, elsewhere };
  }

  changeAddresses({ added, removed }: ItemChange): readonly string[] {
    const { addresses } = this.#net;
    const specs = (list: readonly string[]) =>
      list.map((address) => ({ link: DUMMY_DEVICE, address }));
    return [
      ...refusals(addresses.addAll(specs(added)), ERRNO.EEXIST),
      ...refusals(addresses.removeAll(specs(removed)), ERRNO.EADDRNOTAVAIL),
    ];
  }

  close(): void {
    for (const socket of [this.#ipvs, this.#ipset, this.#net]) socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function refusals(results: readonly (NetlinkError | null)[], fine: number): string[] {
  return results.filter((error) => error !== null && error.errno !== fine)
    .map((error) => error!.message);
}
