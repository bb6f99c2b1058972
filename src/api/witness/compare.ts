/**
 * Whether two witnesses say the same about a packet: the engine, and the rules or the plan.
 *
 * @module
 */

import type { LookupResult } from "../../engine/handle.ts";
import type { AnswerInShort } from "../../explain/answer.ts";
import { formatSocketAddress, isSameAddressPort } from "../../net/address.ts";

/** Something that the witnesses say otherwise, in words. */
export interface Disagreement {
  readonly field: "verdict" | "service" | "backends" | "probability" | "masquerade";
  readonly engine: string;
  /** What the rules say; where a mode has none, what the plan says. */
  readonly rules: string;
}

/** What is not to be compared. */
export interface Comparison {
  /** The engine remembers which backend this client had: only that it may have it is compared. */
  readonly affinity: () => boolean;
  /** The engine masquerades whatever the plan says. */
  readonly masqueradesAlways: boolean;
}

/** Rules have ten decimals, and the kernel rounds chances to 2⁻³¹. */
const TOLERANCE = 1e-6;

/** What is said otherwise; nothing more is compared when the verdicts are different already. */
export function compareWitnesses(
  engine: LookupResult,
  rules: AnswerInShort,
  { affinity, masqueradesAlways }: Comparison,
): Disagreement[] {
  if (engine.verdict !== rules.verdict) {
    return [{ field: "verdict", engine: engine.verdict, rules: rules.verdict }];
  }
  const found: Disagreement[] = [];
  if (engine.service !== null && rules.service !== null && engine.service !== rules.service) {
    found.push({ field: "service", engine: engine.service, rules: rules.service });
  }
  if (engine.verdict !== "FORWARD") return found;
  found.push(...compareBackends(engine, rules, affinity));
  const { backend } = engine;
  const same = backend === null
    ? undefined
    : rules.backends.find((other) => isSameAddressPort(other, backend));
  const masquerade = same?.masquerade ?? rules.masquerade;
  if (!masqueradesAlways && masquerade !== engine.masquerade) {
    found.push({
      field: "masquerade",
      engine: String(engine.masquerade),
      rules: String(masquerade),
    });
  }
  return found;
}

function compareBackends(
  engine: LookupResult,
  rules: AnswerInShort,
  affinity: () => boolean,
): Disagreement[] {
  if (sameInOrder(engine, rules)) return [];
  const theirs = new Map(rules.backends.map((backend) => [key(backend), backend.probability]));
  const ours = new Map(engine.backends.map((backend) => [key(backend), backend.probability]));
  const remembered = ours.size === 1 && affinity();
  const same = [...ours.keys()].every((backend) => theirs.has(backend)) &&
    (remembered || ours.size === theirs.size);
  if (!same) {
    return [{ field: "backends", engine: listed(ours.keys()), rules: listed(theirs.keys()) }];
  }
  if (remembered) return [];
  const different = [...ours].filter(([backend, probability]) =>
    Math.abs(probability - theirs.get(backend)!) > TOLERANCE
  ).map(([backend]) => backend).sort();
  if (different.length === 0) return [];
  const shares = (of: ReadonlyMap<string, number>) =>
    different.map((backend) => `${backend} ${of.get(backend)!.toFixed(6)}`).join(", ");
  return [{ field: "probability", engine: shares(ours), rules: shares(theirs) }];
}

/**
 * Most often both name the same backends with the same chances, in the same order or the other way
 * round: schedulers have the newest first.
 */
function sameInOrder(
  { backends: ours }: LookupResult,
  { backends: theirs }: AnswerInShort,
): boolean {
  if (ours.length !== theirs.length) return false;
  return areSame(ours, theirs, 0, 1) || areSame(ours, theirs, theirs.length - 1, -1);
}

type Candidate = LookupResult["backends"][number];

/** Whether two lists are the same, the second read from `start` on by steps of `by`. */
function areSame(
  ours: readonly Candidate[],
  theirs: readonly Candidate[],
  start: number,
  by: number,
): boolean {
  for (let i = 0, j = start; i < ours.length; i++, j += by) {
    const one = ours[i];
    const other = theirs[j];
    if (!isSameAddressPort(one, other)) return false;
    if (Math.abs(one.probability - other.probability) > TOLERANCE) return false;
  }
  return true;
}

function listed(backends: Iterable<string>): string {
  return [...backends].sort().join(", ");
}

function key({ address, port }: { readonly address: string; readonly port: number }): string {
  return formatSocketAddress(address, port);
}
