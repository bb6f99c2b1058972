/**
 * Keeps the node's own connections off the source ports of masqueraded ones: what comes to those is
 * captured, and an answer to the node's own connection would be lost. Linux does not choose such ports
 * as they are above its ephemeral ones, unless these are others than its own
 * (net.ipv4.ip_local_port_range), as many nodes have it.
 *
 * @module
 */

import { readSysctl, writeSysctl } from "../../linux/sysctl.ts";
import type { PortRange } from "./render.ts";

/** Ports that the kernel chooses for nobody, "8080,9000-9010": ip-sysctl.rst. */
const RESERVED = "net.ipv4.ip_local_reserved_ports";

/** A list with a range in addition; null when all of it is there. */
export function withRange(list: string, { first, last }: PortRange): string | null {
  // The kernel puts adjacent and overlapping ones together.
  if (rangesOf(list).some((range) => range.first <= first && last <= range.last)) return null;
  const added = `${first}-${last}`;
  return list === "" ? added : `${list},${added}`;
}

/** A list without a range that is in it just so; null when it is not. */
export function withoutRange(list: string, { first, last }: PortRange): string | null {
  const ranges = rangesOf(list);
  const left = ranges.filter((range) => range.first !== first || range.last !== last);
  if (left.length === ranges.length) return null;
  return left.map((range) =>
    range.first === range.last ? `${range.first}` : `${range.first}-${range.last}`
  ).join(",");
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
export function reservePorts(ports: PortRange): () => void {
  const before = read();
  const list = withRange(before, ports);
  if (list === null) return () => releasePorts(ports);
  writeSysctl(RESERVED, list);
  const after = read();
  return () => {
    if (read() === after) writeSysctl(RESERVED, before);
    else releasePorts(ports);
  };
}

/** Takes back what an earlier run has reserved, unless it has become part of another range. */
export function releasePorts(ports: PortRange): void {
  const list = withoutRange(read(), ports);
  if (list !== null) writeSysctl(RESERVED, list);
}

function read(): string {
  return readSysctl(RESERVED) ?? "";
}
