/**
 * Keeps the node's own connections off the source ports of masqueraded ones, and off node ports: what
 * comes to those is captured, and an answer to the node's own connection would be lost. Linux does not
 * choose such ports, unless its ephemeral ones are others than its own (net.ipv4.ip_local_port_range),
 * as many nodes have it.
 *
 * @module
 */

import { readSysctl, writeSysctl } from "../../linux/sysctl.ts";
import type { PortRange } from "./node_ports.ts";

/** Ports that the kernel chooses for nobody, "8080,9000-9010": ip-sysctl.rst. */
const RESERVED = "net.ipv4.ip_local_reserved_ports";

/** A list with ranges in addition, of which not all is there. */
export function withRanges(list: string, added: readonly PortRange[]): string {
  const ranges = rangesOf(list);
  // The kernel puts adjacent and overlapping ones together.
  const missing = added.filter(({ first, last }) =>
    !ranges.some((range) => range.first <= first && last <= range.last)
  );
  return textOf([...ranges, ...missing]);
}

/** A list without those of the ranges that are in it just so. */
export function withoutRanges(list: string, removed: readonly PortRange[]): string {
  return textOf(
    rangesOf(list).filter((range) =>
      !removed.some(({ first, last }) => range.first === first && range.last === last)
    ),
  );
}

function textOf(ranges: readonly PortRange[]): string {
  return ranges.map(({ first, last }) => first === last ? `${first}` : `${first}-${last}`).join(
    ",",
  );
}

function rangesOf(list: string): PortRange[] {
  if (list === "") return [];
  return list.split(",").map((entry) => {
    const [first, last = first] = entry.split("-").map(Number);
    return { first, last };
  });
}

/**
 * Reserves ports in this thread's namespace, for connections that begin from now on. Returns what
 * takes that back. Throws SystemError.
 */
export function reservePorts(ranges: readonly PortRange[]): () => void {
  const before = read();
  const list = withRanges(before, ranges);
  if (list === before) return () => releasePorts(ranges);
  writeSysctl(RESERVED, list);
  const after = read();
  return () => {
    if (read() === after) writeSysctl(RESERVED, before);
    else releasePorts(ranges);
  };
}

/** Takes back what an earlier run has reserved, but what has become part of other ranges. */
export function releasePorts(ranges: readonly PortRange[]): void {
  const list = read();
  const left = withoutRanges(list, ranges);
  if (left !== list) writeSysctl(RESERVED, left);
}

function read(): string {
  return readSysctl(RESERVED) ?? "";
}
