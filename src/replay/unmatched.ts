/**
 * Packets of a replay that no Service rule applies to: both directions of a conversation count for
 * where its first packet went.
 *
 * @module
 */

import type { Protocol } from "../cluster/objects.ts";
import { formatSocketAddress } from "../net/address.ts";
import type { Plan } from "../plan/plan.ts";
import { servicePortName } from "../plan/plan.ts";
import type { endsOf, PacketEnds } from "./packet.ts";
import type { ReplayEnd, ReplayReport } from "./report.ts";

/** Service ports by their endpoints, as {@link endpointKey} names these. */
export type EndpointNames = ReadonlyMap<string, string>;

/** An endpoint among all of a plan. */
export function endpointKey(address: string, port: number, protocol: Protocol): string {
  return `${formatSocketAddress(address, port)}/${protocol}`;
}

/** The Service ports of a plan by their endpoints. */
export function endpointNames(services: Plan["services"]): Map<string, string> {
  const names = new Map<string, string>();
  for (const { ports } of services.values()) {
    for (const port of ports) {
      for (const { address, port: number } of port.endpoints) {
        names.set(endpointKey(address, number, port.protocol), servicePortName(port));
      }
    }
  }
  return names;
}

interface Group {
  readonly protocol: string;
  readonly dest: ReplayEnd | null;
  readonly reason: string;
  packets: number;
  bytes: number;
}

/** Conversations whose other direction is recognised. */
const MOST_CONVERSATIONS = 200_000;
/** Destinations that are kept apart; those beyond are one. */
const MOST_GROUPS = 50_000;

/** Counts packets that matched nothing. */
export class UnmatchedBook {
  readonly #endpoints: EndpointNames;
  readonly #groups = new Map<string, Group>();
  /** By the keys of both directions. */
  readonly #conversations = new Map<string, Group>();

  constructor(endpoints: EndpointNames) {
    this.#endpoints = endpoints;
  }

  /** Counts a packet of a conversation that is known, either way; false for any other. */
  again({ key, reverse }: PacketEnds, length: number): boolean {
    const group = this.#conversations.get(key) ?? this.#conversations.get(reverse);
    if (group === undefined) return false;
    group.packets++;
    group.bytes += length;
    return true;
  }

  /** Counts the first packet of a conversation. */
  begin(
    ends: PacketEnds,
    { source, dest }: ReturnType<typeof endsOf>,
    length: number,
    reason: string,
  ): void {
    const { protocol } = ends;
    const nameOf = ({ address, port }: ReplayEnd) =>
      this.#endpoints.get(endpointKey(address, port, protocol));
    const to = nameOf(dest);
    const from = nameOf(source);
    // The first packet that was captured of a conversation may be an answer.
    const server = to === undefined && from !== undefined ? source : dest;
    const known = to ?? from;
    const why = known === undefined ? reason : `behind the proxy: an endpoint of ${known}`;
    const group = this.#group(protocol, server, why);
    group.packets++;
    group.bytes += length;
    if (this.#conversations.size < MOST_CONVERSATIONS) this.#conversations.set(ends.key, group);
  }

  /** Counts an answer of a frontend in a connection of which nothing else is known yet. */
  answer({ protocol }: PacketEnds, frontend: ReplayEnd, length: number, service: string): void {
    const reason = `an answer of ${service} to what is not in the capture`;
    const group = this.#group(protocol, frontend, reason);
    group.packets++;
    group.bytes += length;
  }

  /** Counts a packet without ports. */
  portless(what: string, length: number, reason: string): void {
    const group = this.#group(what, null, reason);
    group.packets++;
    group.bytes += length;
  }

  #group(protocol: string, dest: ReplayEnd | null, reason: string): Group {
    const full = this.#groups.size >= MOST_GROUPS;
    const at = dest === null ? "" : formatSocketAddress(dest.address, dest.port);
    const key = `${protocol} ${at} ${reason}`;
    const found = this.#groups.get(key);
    if (found !== undefined) return found;
    if (full) return this.#other(protocol);
    const group = { protocol, dest, reason, packets: 0, bytes: 0 };
    this.#groups.set(key, group);
    return group;
  }

  #other(protocol: string): Group {
    const key = `${protocol} more`;
    const group = this.#groups.get(key) ??
      { protocol, dest: null, reason: "more destinations than are kept", packets: 0, bytes: 0 };
    this.#groups.set(key, group);
    return group;
  }

  /** The destinations that got most. */
  report(limit: number): Pick<ReplayReport, "unmatched" | "unmatchedTotal"> {
    const groups = [...this.#groups.values()].sort((a, b) => b.packets - a.packets);
    const sum = (field: "packets" | "bytes") =>
      groups.reduce((total, group) => total + group[field], 0);
    return {
      unmatched: groups.slice(0, limit),
      unmatchedTotal: { packets: sum("packets"), bytes: sum("bytes") },
    };
  }
}
