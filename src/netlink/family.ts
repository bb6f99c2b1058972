/**
 * Address families as netlink numbers them.
 *
 * @module
 */

import type { Family } from "../net/address.ts";

/** Address families (AF_INET, AF_INET6; NFPROTO_ are the same). */
export const AF_INET = 2;
export const AF_INET6 = 10;

/** The number of a family; 0 is all. */
export function familyNumber(family: Family | undefined): number {
  return family === undefined ? 0 : family === "IPv4" ? AF_INET : AF_INET6;
}

/** The family of a number, or null: netlink carries other families too (MPLS, multicast). */
export function familyName(number: number): Family | null {
  return number === AF_INET ? "IPv4" : number === AF_INET6 ? "IPv6" : null;
}
