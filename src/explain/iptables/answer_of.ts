/**
 * From the ends of all paths to the answer: equal ends are one outcome.
 *
 * @module
 */

import type { Answer, AnswerBackend, Outcome, Step, Verdict } from "../answer.ts";
import { add, exceeds, type Fraction, toNumber } from "../fraction.ts";
import type { Evaluation } from "./evaluator.ts";
import { serviceOf as serviceOfComment } from "./service.ts";
import type { Trail } from "./steps.ts";
import type { Path } from "./walk.ts";

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
export function answerOf(
  name: string,
  evaluation: Evaluation,
  serviceOf: ServiceOf = serviceOfComment,
): Answer {
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

function distinctEndings({ accepted, ended }: Evaluation): Ending[] {
  const found = new Map<string, Ending>();
  const enter = (path: Path, verdict: Verdict) => {
    const { packet, probability } = path;
    const backend = verdict === "FORWARD"
      ? { address: packet.dest.text, port: packet.destPort }
      : null;
    const leaves = verdict === "FORWARD" || verdict === "PASS";
    const masquerade = leaves && packet.masqueraded;
    const key = `${verdict} ${backend?.address} ${backend?.port} ${masquerade}`;
    const other = found.get(key);
    const likelier = other === undefined || exceeds(probability, other.likeliest.probability);
    found.set(key, {
      verdict,
      backend,
      masquerade,
      probability: other === undefined ? probability : add(other.probability, probability),
      likeliest: likelier ? path : other.likeliest,
    });
  };
  for (const path of accepted) enter(path, path.packet.redirected ? "FORWARD" : "PASS");
  for (const { path, verdict } of ended) enter(path, verdict);
  return [...found.values()];
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
  const found = new Map<string, BackendEnding>();
  for (const [i, ending] of endings.entries()) {
    if (ending.backend === null) continue;
    const key = `${ending.backend.address} ${ending.backend.port}`;
    const other = found.get(key);
    const sum = other === undefined ? null : add(other.sum, ending.probability);
    found.set(key, {
      backend: ending.backend,
      sum: sum ?? ending.probability,
      probability: sum === null ? outcomes[i].probability : toNumber(sum),
      masquerade: ending.masquerade && (other?.masquerade ?? true),
    });
  }
  return [...found.values()].map(({ backend: { address, port }, probability, masquerade }) => ({
    address,
    port,
    probability,
    masquerade,
  }));
}

interface BackendEnding extends Pick<AnswerBackend, "probability" | "masquerade"> {
  readonly backend: NonNullable<Ending["backend"]>;
  /** Of the probabilities of its ends. */
  readonly sum: Fraction;
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
    return steps.reverse().map((step) => {
      let index = this.#indexes.get(step);
      if (index === undefined) this.#indexes.set(step, index = this.list.push(step) - 1);
      return index;
    });
  }
}
