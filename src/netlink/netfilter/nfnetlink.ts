/**
 * What the families below nfnetlink (connection tracking, ipset, nf_tables) share: the header and
 * the numbering of messages. Source: linux/netfilter/nfnetlink.h.
 *
 * @module
 */

import { be16, u8 } from "../codec.ts";

/** `struct nfgenmsg`. */
export const NFNETLINK_HEADER = { family: u8, version: u8, resource: be16 } as const;

/** NFNL_SUBSYS_*. */
export const SUBSYSTEM = { conntrack: 1, ipset: 6, nftables: 10 } as const;

/** The type of a message: its subsystem in the high byte. */
export function messageType(subsystem: number, message: number): number {
  return subsystem << 8 | message;
}
