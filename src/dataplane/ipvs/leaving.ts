/**
 * Real servers that take no more connections and go when those that they have are over.
 *
 * The kernel itself remembers them, by their weight of 0: after a restart they are found there as
 * what nobody asks for, and left to end in the same way. Since when they leave it does not remember:
 * see leaving_times.ts.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import type { IpvsChange } from "../../netlink/generic/ipvs.ts";
import type { Kernel } from "./kernel.ts";
import type { Times } from "./leaving_times.ts";
import { realName, serverId } from "./servers.ts";
import { type RealServerState, serverName, type VirtualServerState } from "./state.ts";

/** A virtual server with real ones that leave. */
interface Leaving {
  readonly server: VirtualServerState;
  /** By {@link realName}; since when, milliseconds of the clock. */
  readonly reals: Map<string, { readonly real: RealServerState; readonly since: number }>;
  /** The virtual server goes with the last of them. */
  whole: boolean;
}

/** Keeps the real servers of one family that leave. */
export class LeavingServers {
  readonly #byServer = new Map<string, Leaving>();
  /** Since when those left that may be found as the node is read anew, by both names. */
  readonly #since: Map<string, number>;
  readonly #family: Family;
  readonly #now: () => number;

  /** @param since what an earlier process knew of {@link times}, of whatever family. */
  constructor(family: Family, now: () => number = Date.now, since: Times = new Map()) {
    this.#family = family;
    this.#now = now;
    this.#since = new Map(
      [...since].filter(([key]) => key.startsWith("[") === (family === "IPv6")),
    );
  }

  /** Since when they leave, and those that may be found to, milliseconds of the clock. */
  get times(): Times {
    const times = new Map(this.#since);
    for (const [name, { reals }] of this.#byServer) {
      for (const [key, { since }] of reals) times.set(`${name} ${key}`, since);
    }
    return times;
  }

  /** How many real servers leave. */
  get size(): number {
    return [...this.#byServer.values()].reduce((sum, { reals }) => sum + reals.size, 0);
  }

  /** The virtual server as it is on the node, where those that leave still are. */
  present(name: string, known: VirtualServerState | null): VirtualServerState | null {
    const leaving = this.#byServer.get(name);
    if (leaving === undefined) return known;
    const server = known ?? leaving.server;
    const others = (known?.realServers ?? []).filter((real) => !leaving.reals.has(realName(real)));
    const reals = [...leaving.reals.values()].map(({ real }) => ({ ...real, weight: 0 }));
    return { ...server, realServers: [...others, ...reals] };
  }

  /** Whether a real server leaves. */
  has(name: string, real: RealServerState): boolean {
    return this.#byServer.get(name)?.reals.has(realName(real)) ?? false;
  }

  /** Whether a virtual server is there only as long as real servers of it leave. */
  isLast(name: string): boolean {
    return this.#byServer.get(name)?.whole ?? false;
  }

  /** Replaces those that leave a virtual server; since when they do is kept. */
  put(server: VirtualServerState, reals: readonly RealServerState[], whole: boolean): void {
    const name = serverName(server.key);
    const former = this.#byServer.get(name)?.reals;
    for (const key of former?.keys() ?? []) this.#since.delete(`${name} ${key}`);
    if (reals.length === 0 && !whole) {
      this.#byServer.delete(name);
      return;
    }
    this.#byServer.set(name, {
      server,
      whole,
      reals: new Map(reals.map((real) => {
        const key = realName(real);
        const since = former?.get(key)?.since ?? this.#since.get(`${name} ${key}`) ?? this.#now();
        return [key, { real, since }];
      })),
    });
  }

  /** Forgets a virtual server that is gone with all of its own. */
  forget(name: string): void {
    this.#byServer.delete(name);
  }

  /** Forgets all but since when they leave, before the node is read anew. */
  clear(): void {
    for (const [key, since] of this.times) this.#since.set(key, since);
    this.#byServer.clear();
  }

  /** Forgets since when others than these left, as they are all that leave. */
  complete(): void {
    this.#since.clear();
  }

  /**
   * Removes those whose connections are over, or that have had their time. One that cannot be
   * removed stays here and is tried again.
   *
   * @param deadlineMs when they go at the latest; 0: never before their connections are over.
   * @param names of virtual servers (default: all).
   */
  settle(kernel: Kernel, deadlineMs: number, names?: Iterable<string>): void {
    for (const name of names ?? [...this.#byServer.keys()]) {
      const leaving = this.#byServer.get(name);
      if (leaving !== undefined) this.#settleServer(kernel, name, leaving, deadlineMs);
    }
  }

  #settleServer(kernel: Kernel, name: string, leaving: Leaving, deadlineMs: number): void {
    const id = serverId(leaving.server.key, this.#family);
    const busy = new Map(
      kernel.reals(id).map((real) =>
        [realName(real), real.activeConnections + real.inactiveConnections > 0] as const
      ),
    );
    const changes: IpvsChange[] = [];
    const names: string[] = [];
    for (const [key, { real, since }] of leaving.reals) {
      const late = deadlineMs > 0 && this.#now() - since >= deadlineMs;
      if (!busy.has(key)) leaving.reals.delete(key);
      else if (late || busy.get(key) === false) {
        changes.push({ verb: "remove", server: id, real });
        names.push(key);
      }
    }
    kernel.changeServers(changes).forEach((refused, i) => {
      if (refused === null) leaving.reals.delete(names[i]);
    });
    if (leaving.reals.size > 0) return;
    this.#byServer.delete(name);
    if (leaving.whole) kernel.changeServers([{ verb: "remove", server: id }]);
  }
}
