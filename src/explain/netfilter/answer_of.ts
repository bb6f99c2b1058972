/**
 * From the ends of all paths to the answer: equal ends are one outcome.
 *
 * @module
 */

import type { Answer, AnswerBackend, Outcome, Step, Verdict } from "../answer.ts";
import { add, exceeds, type Fraction, toNumber } from "../fraction.ts";
import type { Trail } from "./steps.ts";
import type { Evaluation, Path } from "./paths.ts";

interface Ending {
  readonly verdict: Verdict;
  readonly backend: { readonly address: string; readonly port: number } | null;
  readonly masquerade: boolean;
  readonly probability: Fraction;
  readonly likeliest: Path;
}

/** The Service that a rule of a chain with a comment is for; null: none. */
export type ServiceOf = (chain: string | null, comment: string | null) => string | null;

/** The answer about a flow. */
export function answerOf(name: string, evaluation: Evaluation, serviceOf: ServiceOf): Answer {
  const endings = distinctEndings(evaluation);
  const verdict = overall(endings);
  const steps = new StepList();
  const outcomes = endings.map((ending): Outcome => ({
    verdict: ending.verdict,
    backend: ending.backend,
    masquerade: ending.masquerade,
    probability: toNumber(ending.probability),
    steps: steps.add(ending.likeliest.trail),
  }));
  const decisive = endings.filter((ending) => ending.verdict === verdict);
  return {
    name,
    verdict,
    service: service(decisive, serviceOf) ?? service(endings, serviceOf),
    backends: backends(endings, outcomes),
    masquerade: decisive.every((ending) => ending.masquerade),
    steps: steps.list,
    outcomes,
    unknown: evaluation.unknown,
  };
}

function distinctEndings({ accepted, ended }: Evaluation): readonly Ending[] {
  const found = new Endings();
  for (const path of accepted) found.add(path, path.packet.redirected ? "FORWARD" : "PASS");
  for (const { path, verdict } of ended) found.add(path, verdict);
  return found.list;
}

/** Endings, each once. */
class Endings {
  readonly list: Ending[] = [];
  /** In the list, by backend's address: "" for those without. */
  readonly #places = new Places();

  add(path: Path, verdict: Verdict): void {
    const { packet, probability } = path;
    const backend = verdict === "FORWARD"
      ? { address: packet.dest.text, port: packet.destPort }
      : null;
    const leaves = verdict === "FORWARD" || verdict === "PASS";
    const masquerade = leaves && packet.masqueraded;
    const places = this.#places.of(backend?.address ?? "");
    const place = places.find((place) => {
      const other = this.list[place];
      return other.verdict === verdict && other.masquerade === masquerade &&
        other.backend?.port === backend?.port;
    });
    if (place === undefined) {
      places.push(this.list.length);
      this.list.push({ verdict, backend, masquerade, probability, likeliest: path });
      return;
    }
    const other = this.list[place];
    const likelier = exceeds(probability, other.likeliest.probability);
    this.list[place] = {
      ...other,
      probability: add(other.probability, probability),
      likeliest: likelier ? path : other.likeliest,
    };
  }
}

/** Places in a list by address. */
class Places {
  readonly #byAddress = new Map<string, number[]>();

  /** Those of an address; the caller's to add to. */
  of(address: string): number[] {
    let places = this.#byAddress.get(address);
    if (places === undefined) this.#byAddress.set(address, places = []);
    return places;
  }
}

function overall(endings: readonly Ending[]): Verdict {
  if (endings.some((ending) => ending.verdict === "FORWARD")) return "FORWARD";
  let likeliest = endings[0];
  for (const ending of endings) {
    if (exceeds(ending.probability, likeliest.probability)) likeliest = ending;
  }
  return likeliest.verdict;
}

/** Backends of all forwarding ends; one that only sometimes is masqueraded counts as not. */
function backends(endings: readonly Ending[], outcomes: readonly Outcome[]): AnswerBackend[] {
  const found: AnswerBackend[] = [];
  const sums: Fraction[] = [];
  const byAddress = new Places();
  for (const [i, { backend, probability, masquerade }] of endings.entries()) {
    if (backend === null) continue;
    const { address, port } = backend;
    const places = byAddress.of(address);
    const place = places.find((place) => found[place].port === port);
    if (place === undefined) {
      places.push(found.length);
      sums.push(probability);
      found.push({ address, port, probability: outcomes[i].probability, masquerade });
      continue;
    }
    const sum = sums[place] = add(sums[place], probability);
    const always = masquerade && found[place].masquerade;
    found[place] = { address, port, probability: toNumber(sum), masquerade: always };
  }
  return found;
}

/** The first Service that a rule on the way names. */
function service(endings: readonly Ending[], serviceOf: ServiceOf): string | null {
  for (const { likeliest } of endings) {
    let name: string | null = null;
    for (let at = likeliest.trail; at !== null; at = at.before) {
      const named = at.step.action.startsWith("no match")
        ? null
        : serviceOf(at.step.chain, at.comment);
      name = named ?? name;
    }
    if (name !== null) return name;
  }
  return null;
}

/** Steps, each once, however many outcomes share it. */
class StepList {
  readonly list: Step[] = [];
  readonly #indexes = new Map<Step, number>();

  /** The indexes of a trail's steps, the first step first. */
  add(trail: Trail | null): number[] {
    const steps: Step[] = [];
    for (let at = trail; at !== null; at = at.before) steps.push(at.step);
    const indexes: number[] = [];
    for (let i = steps.length - 1; i >= 0; i--) indexes.push(this.#indexOf(steps[i]));
    return indexes;
  }

  #indexOf(step: Step): number {
    let index = this.#indexes.get(step);
    if (index === undefined) this.#indexes.set(step, index = this.list.push(step) - 1);
    return index;
  }
}
