/**
 * What rules leave behind of a packet: in sets, and with connection tracking.
 *
 * @module
 */

import type { SetUpdate } from "../../dataplane/nftables/language/ast.ts";
import type { Path } from "../netfilter/paths.ts";
import type { Surroundings } from "./match.ts";
import type { Notes } from "./notes.ts";
import { read, settle } from "./readings.ts";
import { knownToken } from "./set_index.ts";
import type { PlacedRule } from "./tables.ts";

/** Has connection tracking leave the packet alone. */
export function untracked(
  rule: PlacedRule,
  path: Path,
  why: readonly string[],
  notes: Notes,
): Path {
  const { packet } = path;
  if (packet.state !== null) return path;
  const action = "connection tracking and NAT leave it alone";
  const done = notes.act(rule, path, action, why);
  return { ...done, packet: { ...packet, state: "UNTRACKED" } };
}

/** Puts the packet into a set, or takes it out. */
export function remember(
  rule: PlacedRule,
  path: Path,
  why: readonly string[],
  { set, key, operation }: SetUpdate,
  notes: Notes,
  { table, world }: Surroundings,
): Path {
  const reading = settle(read(key, path.packet, world));
  if (reading.kind !== "known") return path;
  const { packet } = path;
  const value = knownToken(reading.value);
  const entry = `${table.title} ${set} ${value}`;
  if (operation === "delete") {
    const done = notes.act(rule, path, `set ${set} no longer holds ${value}`, why);
    const remembered = packet.remembered.filter((other) => other !== entry);
    return { ...done, packet: { ...packet, remembered } };
  }
  const done = notes.act(rule, path, `set ${set} now holds ${value}`, why);
  return { ...done, packet: { ...packet, remembered: [...packet.remembered, entry] } };
}
