/**
 * The ways that a packet may go through rules: chance and doubt make several of one.
 *
 * @module
 */

import type { SenderQuestions, UnknownRule } from "../answer.ts";
import { add, exceeds, type Fraction } from "../fraction.ts";
import type { Packet } from "./packet.ts";
import type { Trail } from "./steps.ts";

/** One of the ways that the packet may have gone so far. */
export interface Path {
  readonly packet: Packet;
  readonly probability: Fraction;
  readonly trail: Trail | null;
}

/** A path that a table ended. */
export interface End {
  readonly path: Path;
  readonly verdict: "DROP" | "REJECT";
}

/** Every end that a packet may find, and the rules that could not be decided. */
export interface Evaluation {
  readonly accepted: readonly Path[];
  readonly ended: readonly End[];
  readonly unknown: readonly UnknownRule[];
  /** What it all rests on of who sends. */
  readonly sender: SenderQuestions;
}

/** Rules whose chances and jumps multiply without end are given up. */
export class TooManyWays extends Error {
  override readonly name = "TooManyWays";
}

/** How many ways a packet may have come to one rule. */
const MOST_PATHS = 65536;

/** What one flow may cost. */
export class Budget {
  #rules = 20_000_000;
  #steps = 1_000_000;

  /** Takes so many paths to ask one rule about. Throws {@link TooManyWays}. */
  ask(paths: number, chain: string): void {
    this.#rules -= paths;
    if (this.#rules < 0 || paths > MOST_PATHS) this.#refuse(chain);
  }

  /** Takes one step. Throws {@link TooManyWays}. */
  step(chain: string): void {
    if (--this.#steps < 0) this.#refuse(chain);
  }

  #refuse(chain: string): never {
    throw new TooManyWays(`chain ${chain}: the flow can take too many ways to follow them all`);
  }
}

/** A path with one step more. */
export function withStep(
  { packet, probability, trail }: Path,
  { step, comment }: Omit<Trail, "before">,
): Path {
  return { packet, probability, trail: { step, comment, before: trail } };
}

/** Makes one of paths that differ in nothing but how they came about; the likeliest trail stays. */
export function merge(paths: readonly Path[]): readonly Path[] {
  if (paths.length < 2 || differInDest(paths)) return paths;
  const distinct = new Map<string, Path>();
  for (const path of paths) {
    const key = keyOf(path.packet);
    const other = distinct.get(key);
    if (other === undefined) {
      distinct.set(key, path);
      continue;
    }
    const likelier = exceeds(path.probability, other.probability) ? path : other;
    distinct.set(key, { ...likelier, probability: add(path.probability, other.probability) });
  }
  return [...distinct.values()];
}

/** Whether no two go to the same address, as the ways to a Service's endpoints do. */
function differInDest(paths: readonly Path[]): boolean {
  const dests = new Set<string>();
  for (const { packet } of paths) dests.add(packet.dest.text);
  return dests.size === paths.length;
}

/** Everything that rules can change in a packet. */
function keyOf(packet: Packet): string {
  const { source, dest, destPort, mark, connectionMark, remembered } = packet;
  const { state, redirected, masqueraded, intercepted, virtual } = packet;
  return [
    [source.id, dest.text, destPort, mark, connectionMark],
    [state, redirected, masqueraded, intercepted],
    [virtual?.address.text, virtual?.port],
    remembered,
  ].join(" ");
}
