/**
 * A step from one state to another, as data.
 *
 * @module
 */

import type { IpvsState, VirtualServerState } from "./state.ts";

/** What comes and what goes. */
export interface ItemChange {
  readonly added: readonly string[];
  readonly removed: readonly string[];
}

/** A virtual server that is other than it was; null where there is, or was, none. */
export interface ServerChange {
  readonly before: VirtualServerState | null;
  readonly after: VirtualServerState | null;
}

/** What is new and what is gone, each once. */
export interface StateChange {
  readonly servers: readonly ServerChange[];
  readonly addresses: ItemChange;
  /** By name of the set. */
  readonly sets: ReadonlyMap<string, ItemChange>;
  /** The chains before and after; null when no rule is other than it was. */
  readonly rules:
    | { readonly before: IpvsState["rules"]; readonly after: IpvsState["rules"] }
    | null;
}

/** Whether two virtual servers are the same in everything. */
export function sameServer(
  one: VirtualServerState | null,
  other: VirtualServerState | null,
): boolean {
  if (one === null || other === null) return one === other;
  return sameScheduling(one, other) && one.realServers.length === other.realServers.length &&
    one.realServers.every(({ address, port, weight }, i) => {
      const real = other.realServers[i];
      return address === real.address && port === real.port && weight === real.weight;
    });
}

/** Whether two virtual servers choose alike, whatever is behind them. */
export function sameScheduling(one: VirtualServerState, other: VirtualServerState): boolean {
  return one.scheduler === other.scheduler &&
    one.persistenceSeconds === other.persistenceSeconds &&
    one.flags.length === other.flags.length &&
    one.flags.every((flag) => other.flags.includes(flag));
}
