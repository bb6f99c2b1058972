/**
 * The names of base chains' priorities, by family and hook. (nft: src/rule.c, `prio_tags`.)
 *
 * @module
 */

import type { HookName, TableFamily } from "./ast.ts";

const IP: Readonly<Record<string, number>> = {
  raw: -300,
  mangle: -150,
  dstnat: -100,
  filter: 0,
  security: 50,
  srcnat: 100,
};

const BRIDGE: Readonly<Record<string, number>> = {
  dstnat: -300,
  filter: -200,
  out: 100,
  srcnat: 300,
};

/** Names that stand for something else at other hooks. */
const ONLY_AT: Readonly<Record<string, readonly HookName[]>> = {
  dstnat: ["prerouting"],
  srcnat: ["postrouting"],
  out: ["output"],
};

/** How far from a name's number nft still names it. */
const NEAR = 10;

/** The number of a name; undefined when the family has no such name. */
export function priorityNumber(name: string, family: TableFamily): number | undefined {
  const names = namesOf(family);
  return Object.hasOwn(names, name) ? names[name] : undefined;
}

/** How nft writes a priority: `filter`, `dstnat - 10`, or the bare number. */
export function priorityText(priority: number, family: TableFamily, hook: HookName): string {
  for (const [name, number] of Object.entries(namesOf(family))) {
    if (ONLY_AT[name]?.includes(hook) === false) continue;
    const offset = priority - number;
    if (offset === 0) return name;
    if (Math.abs(offset) <= NEAR) return `${name} ${offset < 0 ? "-" : "+"} ${Math.abs(offset)}`;
  }
  return String(priority);
}

function namesOf(family: TableFamily): Readonly<Record<string, number>> {
  if (family === "bridge") return BRIDGE;
  return family === "arp" || family === "netdev" ? { filter: 0 } : IP;
}
