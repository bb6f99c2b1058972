/**
 * Names of rtnetlink's numbers, and the small conversions that its objects share.
 *
 * @module
 */

import { type Family, type Network, parseNetwork } from "../../net/address.ts";
import { names } from "../names.ts";

/** Reach of an address or route (RT_SCOPE_*). */
export type ScopeName = "global" | "site" | "link" | "host" | "nowhere";
export type Scope = ScopeName | number;
export const SCOPES = names<ScopeName>({
  global: 0,
  site: 200,
  link: 253,
  host: 254,
  nowhere: 255,
});

/** What becomes of a packet that takes a route (RTN_*). */
export type RouteTypeName =
  | "unicast"
  | "local"
  | "broadcast"
  | "anycast"
  | "multicast"
  | "blackhole"
  | "unreachable"
  | "prohibit"
  | "throw";
export type RouteType = RouteTypeName | number;
export const ROUTE_TYPES = names<RouteTypeName>({
  unicast: 1,
  local: 2,
  broadcast: 3,
  anycast: 4,
  multicast: 5,
  blackhole: 6,
  unreachable: 7,
  prohibit: 8,
  throw: 9,
});

/** Who made a route or rule (RTPROT_*). Numbers from 4 on are free for daemons to choose. */
export type OriginName = "unspecified" | "redirect" | "kernel" | "boot" | "static" | "ra";
export type Origin = OriginName | number;
export const ORIGINS = names<OriginName>({
  unspecified: 0,
  redirect: 1,
  kernel: 2,
  boot: 3,
  static: 4,
  ra: 9,
});

/** What a policy rule does (FR_ACT_*). */
export type RuleActionName = "lookup" | "goto" | "nop" | "blackhole" | "unreachable" | "prohibit";
export type RuleAction = RuleActionName | number;
export const RULE_ACTIONS = names<RuleActionName>({
  lookup: 1,
  goto: 2,
  nop: 3,
  blackhole: 6,
  unreachable: 7,
  prohibit: 8,
});

/** Routing tables that every namespace has. */
export const TABLE_MAIN = 254;
export const TABLE_LOCAL = 255;

/** The 8-bit field of a table; the number itself is in an attribute when it is larger. */
export function tableField(table: number): number {
  return table < 256 ? table : 0;
}

/** The network of text such as "10.0.0.0/8" or "10.0.0.1"; throws TypeError on other text. */
export function requireNetwork(text: string): Network {
  const network = parseNetwork(text);
  if (network === null) throw new TypeError(`not a network: ${JSON.stringify(text)}`);
  return network;
}

/** "address/prefix"; without an address, the whole family. */
export function networkText(family: Family, address: string | undefined, prefix: number): string {
  return `${address ?? (family === "IPv4" ? "0.0.0.0" : "::")}/${prefix}`;
}
