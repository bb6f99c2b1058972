/**
 * What becomes of a packet from one point of its way on, and of which other packets the same does:
 * the ways to a Service's endpoints mostly part before the node forwards them, and no rule behind
 * tells one from another.
 *
 * @module
 */

import { multiply, ONE } from "../fraction.ts";
import type { Link, Packet } from "./packet.ts";
import { AskedAddress } from "./sender.ts";
import type { Trail } from "./steps.ts";
import type { End, Path } from "./paths.ts";

/** Where paths come to. */
export interface Ends {
  /** Those that no table ended. */
  readonly left: readonly Path[];
  readonly ended: readonly End[];
}

/** A way on, begun by one packet. */
export class Course {
  readonly #first: Packet;
  readonly #dest: AskedAddress;
  readonly #ends: Ends;

  /** @param walk follows a path, and asks its packet what it has to. */
  constructor(first: Packet, walk: (path: Path) => Ends) {
    this.#first = first;
    this.#dest = new AskedAddress(first.dest);
    const packet = { ...first, dest: this.#dest };
    this.#ends = walk({ packet, probability: ONE, trail: null });
  }

  /** Whether a packet goes the same way: one that is the same up to its destination's address. */
  holdsFor(packet: Packet): boolean {
    return isSameButDest(packet, this.#first) && this.#dest.isSaidOf(packet.dest);
  }

  /** Where a path of such a packet comes to. */
  endsOf(path: Path): Ends {
    return {
      left: this.#ends.left.map((end) => this.#join(path, end)),
      ended: this.#ends.ended.map((end) => ({ ...end, path: this.#join(path, end.path) })),
    };
  }

  #join(path: Path, { packet, probability, trail }: Path): Path {
    return {
      packet: packet.dest === this.#dest ? { ...packet, dest: path.packet.dest } : packet,
      probability: multiply(path.probability, probability),
      trail: behind(path.trail, trail),
    };
  }
}

/** Whether everything else that differs between the ways of one packet is the same. */
function isSameButDest(one: Packet, other: Packet): boolean {
  return one.source === other.source && one.destPort === other.destPort &&
    one.mark === other.mark && one.connectionMark === other.connectionMark &&
    one.state === other.state && one.redirected === other.redirected &&
    one.masqueraded === other.masqueraded && one.intercepted === other.intercepted &&
    one.virtual === other.virtual && one.remembered === other.remembered &&
    isSameLink(one.out, other.out);
}

function isSameLink(one: Link, other: Link): boolean {
  return one === other ||
    typeof one === "object" && typeof other === "object" && one.name === other.name;
}

/** A trail with another one behind it. */
function behind(before: Trail | null, trail: Trail | null): Trail | null {
  const latestFirst: Trail[] = [];
  for (let at = trail; at !== null; at = at.before) latestFirst.push(at);
  return latestFirst.reduceRight<Trail | null>(
    (before, { step, comment }) => ({ step, comment, before }),
    before,
  );
}
