/**
 * The base chains of a node by hook, in the order in which the kernel calls them.
 *
 * Chains of type nat are called where NAT is, whatever their own priority, which orders only them:
 * before the routing decision at −100, behind it at 100 (kernel: nf_nat_proto.c). Of two chains
 * with the same priority the one that was made later is called first (netfilter/core.c).
 *
 * @module
 */

import type { Chain, HookName, TableFamily } from "../../dataplane/nftables/language/ast.ts";
import type { Family } from "../../net/address.ts";
import type { Hook } from "../netfilter/packet.ts";
import type { NodeTable, PlacedChain } from "./tables.ts";

/** A base chain at its place. */
export interface HookedChain {
  readonly table: NodeTable;
  readonly chain: PlacedChain;
  readonly nat: boolean;
  /** Whether it comes before connection tracking. */
  readonly early: boolean;
}

/** The base chains that packets of a family pass, by hook. */
export interface Hooks extends Readonly<Record<Hook, readonly HookedChain[]>> {
  /** Those that are called where packets come in, or go out, of the links that each is for. */
  readonly links: Readonly<Record<LinkHook, readonly HookedChain[]>>;
}

/** Where packets come in or go out of links. */
export type LinkHook = "ingress" | "egress";

const HOOKS: Readonly<Record<Hook, HookName>> = {
  PREROUTING: "prerouting",
  INPUT: "input",
  FORWARD: "forward",
  OUTPUT: "output",
  POSTROUTING: "postrouting",
};

const NAT_PRIORITY: Readonly<Record<Hook, number>> = {
  PREROUTING: -100,
  INPUT: 100,
  FORWARD: 0,
  OUTPUT: -100,
  POSTROUTING: 100,
};

const TRACKING_PRIORITY = -200;

/** Orders the base chains of a family's tables. */
export function hooksOf(tables: readonly NodeTable[], family: Family): Hooks {
  const own = tables.filter(({ source }) => isOf(source.family, family) && !source.dormant);
  const at = (hook: Hook) => chainsAt(own, hook);
  return {
    PREROUTING: at("PREROUTING"),
    INPUT: at("INPUT"),
    FORWARD: at("FORWARD"),
    OUTPUT: at("OUTPUT"),
    POSTROUTING: at("POSTROUTING"),
    links: {
      ingress: chainsAtLinks(tables, family, "ingress"),
      egress: chainsAtLinks(tables, family, "egress"),
    },
  };
}

/** Those of family inet and of links in one order, as the kernel has one list for each link. */
function chainsAtLinks(
  tables: readonly NodeTable[],
  family: Family,
  hook: LinkHook,
): HookedChain[] {
  const found = tables.flatMap((table) => {
    const { family: own, baseChains, dormant } = table.source;
    if (dormant || !seesPacketsOf(own, family)) return [];
    return baseChains.filter(({ base }) => base?.hook === hook)
      .map((chain) => ({ table, chain: table.place(chain), nat: false, early: true }));
  });
  return found.reverse()
    .sort((one, other) => one.chain.base!.priority - other.chain.base!.priority);
}

/** Whether a chain is for a link; names of links may end with a star. */
export function isForLink({ chain }: HookedChain, link: string): boolean {
  return chain.base!.devices.some((device) =>
    device.endsWith("*") ? link.startsWith(device.slice(0, -1)) : device === link
  );
}

/** Whether a table of one family may see packets of another. */
export function seesPacketsOf(tableFamily: TableFamily, family: Family): boolean {
  return tableFamily === "netdev" || isOf(tableFamily, family);
}

function isOf(tableFamily: string, family: Family): boolean {
  return tableFamily === "inet" || tableFamily === (family === "IPv4" ? "ip" : "ip6");
}

function chainsAt(tables: readonly NodeTable[], hook: Hook): HookedChain[] {
  const found = tables.flatMap((table) =>
    table.source.baseChains.filter(({ base }) => base?.hook === HOOKS[hook]).map((chain) => ({
      table,
      chain: table.place(chain),
      base: chain.base!,
    }))
  );
  const placeOf = ({ type, priority }: NonNullable<Chain["base"]>) =>
    type === "nat" ? NAT_PRIORITY[hook] : priority;
  return found.reverse().sort((one, other) =>
    placeOf(one.base) - placeOf(other.base) ||
    (one.base.type === "nat" && other.base.type === "nat"
      ? one.base.priority - other.base.priority
      : 0)
  ).map(({ table, chain, base }) => ({
    table,
    chain,
    nat: base.type === "nat",
    early: base.type !== "nat" && base.priority < TRACKING_PRIORITY,
  }));
}
