/**
 * Virtual servers between their state and the kernel's messages, and the messages that make one of
 * them into another.
 *
 * @module
 */

import type { Protocol } from "../../cluster/objects.ts";
import { type Family, formatSocketAddress } from "../../net/address.ts";
import {
  type IpvsChange,
  type ListedRealServer,
  type ListedVirtualServer,
  type RealServerId,
  SCHEDULER_FLAGS,
  type VirtualServer,
  type VirtualServerId,
} from "../../netlink/generic/ipvs.ts";
import type { SchedulerFlagName } from "../../plan/plan.ts";
import { chainHash } from "../iptables/names.ts";
import { sameScheduling } from "./change.ts";
import {
  type RealServerState,
  type ServerKey,
  serverName,
  type VirtualServerState,
} from "./state.ts";

/** IP protocol numbers. */
const PROTOCOLS: Readonly<Record<Protocol, number>> = { TCP: 6, UDP: 17, SCTP: 132 };

/** The kernel's name of a virtual server. */
export function serverId(key: ServerKey, family: Family): VirtualServerId {
  if ("mark" in key) return { mark: key.mark, family };
  return { address: key.address, port: key.port, protocol: PROTOCOLS[key.protocol] };
}

/** What a listed virtual server is dialled by; null for a protocol that Services don't have. */
export function serverKey(id: VirtualServerId): ServerKey | null {
  if ("mark" in id) return { mark: id.mark };
  const protocol = (["TCP", "UDP", "SCTP"] as const).find((name) =>
    PROTOCOLS[name] === id.protocol
  );
  return protocol === undefined ? null : { protocol, address: id.address, port: id.port };
}

/** A virtual server as the kernel is told of it. */
export function toKernel(server: VirtualServerState, family: Family): VirtualServer {
  const { key, scheduler, flags, persistenceSeconds } = server;
  return {
    ...serverId(key, family),
    scheduler,
    schedulerFlags: flags.reduce((bits, flag) => bits | SCHEDULER_FLAGS[flag], 0),
    persistence: persistenceSeconds === null ? null : { timeout: persistenceSeconds },
  };
}

/** Stands for settings that no server of ours has, so that it differs from all of them. */
const OTHER = -1;

/** A listed virtual server as state. */
export function fromKernel(
  key: ServerKey,
  listed: ListedVirtualServer,
  reals: readonly ListedRealServer[],
): VirtualServerState {
  const { scheduler, schedulerFlags, persistence, onePacket, engine } = listed;
  const wide = persistence !== null && persistence.prefix !== undefined &&
    persistence.prefix !== ("mark" in listed || !listed.address.includes(":") ? 32 : 128);
  return {
    key,
    // What else can be set is part of the name, which therefore is none of ours.
    scheduler: `${scheduler}${onePacket ? " ops" : ""}${engine ? ` ${engine}` : ""}`,
    flags: flagNames(scheduler, schedulerFlags),
    persistenceSeconds: persistence === null ? null : wide ? OTHER : persistence.timeout,
    realServers: reals.map(realFromKernel).sort(byEnd),
  };
}

function flagNames(scheduler: string, bits: number): readonly SchedulerFlagName[] {
  return (Object.keys(SCHEDULER_FLAGS) as SchedulerFlagName[])
    .filter((flag) => flag.startsWith(`${scheduler}-`) && (bits & SCHEDULER_FLAGS[flag]) !== 0);
}

function realFromKernel(
  { address, port, weight, method, upperThreshold, lowerThreshold }: ListedRealServer,
): RealServerState {
  const plain = method === "masquerade" && upperThreshold === 0 && lowerThreshold === 0;
  return { address, port, weight: plain ? weight : OTHER };
}

/** "10.244.0.5:80": what tells the real servers of one virtual server apart. */
export function realName({ address, port }: RealServerId): string {
  return formatSocketAddress(address, port);
}

function byEnd(one: RealServerId, other: RealServerId): number {
  const [a, b] = [realName(one), realName(other)];
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Messages for one virtual server, and its real servers that may only go when they are idle. */
export interface ServerMessages {
  readonly changes: readonly IpvsChange[];
  /** Their weight is 0 then. */
  readonly leaving: readonly RealServerState[];
}

/**
 * What makes a virtual server into another, for at least one of both. A TCP server that is to go
 * gets no more connections; UDP and SCTP have nothing that could be waited for.
 *
 * @param node the name of this node: see {@link addOrder}.
 */
export function serverMessages(
  before: VirtualServerState | null,
  after: VirtualServerState,
  family: Family,
  node: string,
): ServerMessages {
  const server = toKernel(after, family);
  const id = serverId(after.key, family);
  const changes: IpvsChange[] = [];
  const leaving: RealServerState[] = [];
  if (before === null) changes.push({ verb: "add", server });
  else if (!sameScheduling(before, after)) changes.push({ verb: "update", server });
  const had = new Map((before?.realServers ?? []).map((real) => [realName(real), real]));
  for (const real of addOrder(after, node)) {
    const former = had.get(realName(real));
    had.delete(realName(real));
    if (former === undefined) changes.push({ verb: "add", server: id, real });
    else if (former.weight !== real.weight) changes.push({ verb: "update", server: id, real });
  }
  for (const real of had.values()) {
    if (!drains(after)) changes.push({ verb: "remove", server: id, real });
    else {
      leaving.push(real);
      if (real.weight === 0) continue;
      changes.push({ verb: "update", server: id, real: { ...real, weight: 0 } });
    }
  }
  return { changes, leaving };
}

/**
 * Whether connections to a server's real servers have an end that can be waited for. With dh nothing
 * is: it goes on choosing a server of weight 0, so that all who come would be refused meanwhile.
 */
export function drains(
  { key, scheduler }: Pick<VirtualServerState, "key" | "scheduler">,
): boolean {
  return ("mark" in key || key.protocol === "TCP") && scheduler !== "dh";
}

/** Schedulers that begin with, or in a tie take, the real server that was added last. */
const TAKING_TURNS: readonly string[] = ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sed", "nq"];

/**
 * The real servers in the order in which they are added. The kernel begins with the last one, so if
 * it were the same everywhere, every node's first connections would go to the same endpoint: each
 * begins elsewhere, by a hash of its name and the server's. Schedulers that hash need the same order
 * on all nodes to choose alike.
 */
export function addOrder(
  { key, scheduler, realServers }: VirtualServerState,
  node: string,
): readonly RealServerState[] {
  const first = TAKING_TURNS.includes(scheduler) && realServers.length > 1
    ? hash(`${node} ${serverName(key)}`) % realServers.length
    : 0;
  return [...realServers.slice(first), ...realServers.slice(0, first)].reverse();
}

/** A number of 30 bits, from the hash that also names chains. */
function hash(text: string): number {
  return parseInt(
    [...chainHash(text).slice(0, 6)].map((char) =>
      "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(char).toString(32)
    ).join(""),
    32,
  );
}
