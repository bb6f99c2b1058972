/**
 * What ipvs mode programs of one IP family, as data: virtual servers, the addresses of kube-ipvs0,
 * sets, and the iptables rules around them. The same shape is rendered from a plan, read back from a
 * node, and parsed from the text of ipvsadm-save, ipset save and iptables-save.
 *
 * @module
 */

import type { Protocol } from "../../cluster/objects.ts";
import { type Family, formatSocketAddress } from "../../net/address.ts";
import type { SchedulerFlagName, SchedulerName } from "../../plan/plan.ts";
import type { Chains, TableName } from "../iptables/rules.ts";

/** The device that carries the addresses which virtual servers answer on. */
export const DUMMY_DEVICE = "kube-ipvs0";

/** What clients dial of a virtual server: an address and port, or the mark that a rule has set. */
export type ServerKey =
  | { readonly protocol: Protocol; readonly address: string; readonly port: number }
  | { readonly mark: number };

/** A server that IPVS forwards to. */
export interface RealServerState {
  /** Canonical address. */
  readonly address: string;
  readonly port: number;
  /** 0 takes no new connections. */
  readonly weight: number;
}

/** A virtual server with the real ones behind it. */
export interface VirtualServerState {
  readonly key: ServerKey;
  /** A scheduler of the kernel; a foreign virtual server may have one that we don't know. */
  readonly scheduler: Exclude<SchedulerName, "random"> | (string & Record<never, never>);
  readonly flags: readonly SchedulerFlagName[];
  /** Seconds that a client stays with its real server; null for none. */
  readonly persistenceSeconds: number | null;
  /** Sorted by "address:port" as bytes. */
  readonly realServers: readonly RealServerState[];
}

/** Types of sets that ipvs mode uses. */
export type IpSetType =
  | "hash:ip"
  | "hash:ip,port"
  | "hash:ip,port,ip"
  | "hash:ip,port,net"
  | "bitmap:port";

/** An ipset with what is in it. */
export interface IpSetState {
  readonly name: string;
  readonly type: IpSetType;
  /** As `ipset save` writes members: "10.96.0.1,tcp:80". Sorted as bytes, each once. */
  readonly entries: readonly string[];
}

/** Everything of one family. */
export interface IpvsState {
  readonly family: Family;
  /** By {@link serverName} of their keys. */
  readonly servers: ReadonlyMap<string, VirtualServerState>;
  /** Canonical addresses on {@link DUMMY_DEVICE}. */
  readonly addresses: ReadonlySet<string>;
  /** By name, in the order in which they are made. */
  readonly sets: ReadonlyMap<string, IpSetState>;
  /** The chains of each table with their rules, as in iptables mode. */
  readonly rules: Readonly<Record<TableName, Chains>>;
}

/** "10.96.0.1:80/TCP", "[fd00::1]:80/TCP" or "mark 0x10001": how a virtual server is called. */
export function serverName(key: ServerKey): string {
  if ("mark" in key) return `mark 0x${key.mark.toString(16)}`;
  return `${formatSocketAddress(key.address, key.port)}/${key.protocol}`;
}
