/**
 * The packet as it travels.
 *
 * @module
 */

import type { Protocol } from "../../cluster/objects.ts";
import type { Family } from "../../net/address.ts";
import type { ConnectionState } from "../answer.ts";
import { type Address, type Ip, ip, type SourcePort } from "./sender.ts";

export { type Ip, ip };

/**
 * A network interface: its name; "none" where the kernel has none (the output interface of a
 * packet that just came in); "unknown": one whose name is not known, except that it isn't lo.
 */
export type Link = { readonly name: string } | "none" | "unknown";

export const LOOPBACK: Link = { name: "lo" };

/** Why a rule about a link cannot be decided. */
export function unknownLink(which: "input" | "output"): string {
  return `the packet's ${which} interface is not known`;
}

/** netfilter's hooks, as the built-in chains are called. */
export type Hook = "PREROUTING" | "INPUT" | "FORWARD" | "OUTPUT" | "POSTROUTING";

/** A packet at one point of its way. Never changed: every change makes another. */
export interface Packet {
  readonly family: Family;
  readonly protocol: Protocol;
  readonly source: Ip;
  readonly sourcePort: SourcePort;
  readonly dest: Ip;
  readonly destPort: number;
  readonly hook: Hook;
  readonly in: Link;
  readonly out: Link;
  /** Whether the node itself sent it. */
  readonly fromNode: boolean;
  /** fwmark, 32 bits. */
  readonly mark: number;
  /** The connection's mark, 32 bits. */
  readonly connectionMark: number;
  /** Null before connection tracking has seen it, in table raw; there CT --notrack sets UNTRACKED. */
  readonly state: ConnectionState | null;
  /** Source and destination as the client sent them. */
  readonly original: {
    readonly source: Ip;
    readonly dest: Ip;
    readonly destPort: number;
  };
  /** Whether a rule chose its destination (DNAT, REDIRECT). */
  readonly redirected: boolean;
  /** Whether a rule chose its source (SNAT, MASQUERADE). */
  readonly masqueraded: boolean;
  /** Whether TPROXY handed it to a socket of this node. */
  readonly intercepted: boolean;
  /** The virtual server that IPVS took it for; null: none, or not yet. */
  readonly virtual: VirtualEnd | null;
  /** What the packet itself was entered in, lists of the match recent: "LIST ADDRESS". */
  readonly remembered: readonly string[];
}

/** Where a packet went before IPVS sent it to a real server. */
export interface VirtualEnd {
  readonly address: Ip;
  readonly port: number;
  /** How packets get to the real server, as iptables names it. */
  readonly method: "MASQ" | "GATE" | "IPIP";
}

/** Whether an address is the loopback's. */
export function isLoopback({ text }: Address): boolean {
  return text.startsWith("127.") || text === "::1";
}

/** Whether the packet belongs to a connection; in table raw none does yet. */
export function isTracked({ state }: Packet): boolean {
  return state !== null && state !== "UNTRACKED" && state !== "INVALID";
}
