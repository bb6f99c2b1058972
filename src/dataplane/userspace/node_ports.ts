/**
 * Node ports as ranges to capture, few and with little besides.
 *
 * @module
 */

import type { Protocol } from "../../cluster/objects.ts";
import type { Family } from "../../net/address.ts";

/** Ports from … to, both included. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** The node ports of one family and protocol. */
export interface NodePortSet {
  readonly family: Family;
  readonly protocol: Protocol;
  readonly ports: ReadonlySet<number>;
}

/** Node ports by family and protocol. */
export class NodePorts {
  readonly #sets = new Map<string, NodePortSet & { readonly ports: Set<number> }>();

  add(family: Family, protocol: Protocol, port: number): void {
    const key = `${family} ${protocol}`;
    let set = this.#sets.get(key);
    if (set === undefined) this.#sets.set(key, set = { family, protocol, ports: new Set() });
    set.ports.add(port);
  }

  all(): Iterable<NodePortSet> {
    return this.#sets.values();
  }
}

/**
 * At most so many ranges that have all the ports, ascending: where there are more runs of ports, the
 * narrowest gaps between them are taken along. A gap with a port that is to be left out is not; if
 * there are too many of those, there are more ranges.
 */
export function coveringRanges(
  ports: ReadonlySet<number>,
  leftOut: ReadonlySet<number>,
  most: number,
): PortRange[] {
  const sorted = ascending(ports);
  const gaps = sorted.slice(1)
    .map((port, i) => ({ place: i + 1, width: port - sorted[i] - 1 }))
    .filter(({ width }) => width > 0);
  const excess = Math.max(0, gaps.length + 1 - most);
  const closed = new Set(
    excess === 0 ? [] : closableGaps(sorted, gaps, leftOut)
      .sort((a, b) => a.width - b.width).slice(0, excess).map(({ place }) => place),
  );
  const cuts = gaps.map(({ place }) => place).filter((place) => !closed.has(place));
  return [0, ...cuts].filter((place) => place < sorted.length)
    .map((place, i) => ({ first: sorted[place], last: sorted[(cuts[i] ?? sorted.length) - 1] }));
}

/** Before which of the sorted ports there is a gap, and how wide it is. */
interface Gap {
  readonly place: number;
  readonly width: number;
}

function closableGaps(
  sorted: readonly number[],
  gaps: readonly Gap[],
  leftOut: ReadonlySet<number>,
): Gap[] {
  const avoided = ascending(leftOut.difference(new Set(sorted)));
  let next = 0;
  return gaps.filter(({ place }) => {
    while (avoided[next] < sorted[place - 1]) next++;
    return !(avoided[next] < sorted[place]);
  });
}

function ascending(ports: ReadonlySet<number>): number[] {
  return [...ports].sort((a, b) => a - b);
}
