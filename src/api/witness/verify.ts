/**
 * Asks both witnesses about every frontend and collects what they say otherwise.
 *
 * @module
 */

import { type Family, familyOf } from "../../net/address.ts";
import type { ApiState } from "../state.ts";
import { type Question, questionsAbout } from "./questions.ts";
import type { KnownDisagreement, RulesOf, Witnesses } from "./witnesses.ts";

/** A packet about which the witnesses do not agree. */
export interface Dispute extends Question {
  readonly disagreements: readonly KnownDisagreement[];
}

/** How far the verification came, and what it found. */
export interface Verification {
  /** Packets that were asked about. */
  readonly asked: number;
  readonly disputes: readonly Dispute[];
  /** Packets about which they disagree as is known of the mode; these are no disputes. */
  readonly known: number;
  /** The Service to go on behind; null when all were asked about. */
  readonly next: string | null;
  /** Whether the plan was the same all the while; if not, disputes may be about the change. */
  readonly stable: boolean;
}

/** How long one request goes on asking, milliseconds. */
const MOST_MS = 5000;
/** Disputes of one request. */
const MOST_DISPUTES = 1000;
/** How long other work waits at most, milliseconds; one Service is asked about in one go. */
const TURN_MS = 10;

/**
 * Asks about the Services behind `after`, by name, until all are done or it has taken too long.
 * Throws ApiError when the node's rules cannot be read.
 */
export async function verify(
  state: ApiState,
  witnesses: Witnesses,
  rulesOf: RulesOf,
  after: string | null,
): Promise<Verification> {
  const start = performance.now();
  const revision = state.revision();
  const seconds = new Map<Family, Awaited<ReturnType<Witnesses["verifier"]>>>();
  for (const family of state.families) {
    seconds.set(family, await witnesses.verifier(family, rulesOf));
  }
  const names = [...state.plan().services.keys()].filter((name) => after === null || name > after)
    .sort();
  const disputes: Dispute[] = [];
  let asked = 0;
  let known = 0;
  let turn = performance.now();
  const done = (next: string | null): Verification => ({
    asked,
    disputes,
    known,
    next,
    stable: state.revision() === revision,
  });
  for (const [i, name] of names.entries()) {
    const plan = state.plan();
    const service = plan.services.get(name);
    const questions = service === undefined ? [] : questionsAbout(service, plan.node)
      .filter(({ packet }) => seconds.has(familyOf(packet.dest)));
    if (questions.length > 0) {
      const answers = await state.engine.lookup(questions.map(({ packet }) => packet));
      for (const [j, question] of questions.entries()) {
        const second = seconds.get(familyOf(question.packet.dest))!;
        const { answer } = second({ name: "", ...question.packet });
        const disagreements = witnesses.compare(question.packet, answers[j], answer);
        if (disagreements.some((one) => one.known === null)) {
          disputes.push({ ...question, disagreements });
        } else if (disagreements.length > 0) {
          known++;
        }
        if (performance.now() - turn > TURN_MS) {
          await new Promise((resolve) => setTimeout(resolve, 0));
          turn = performance.now();
        }
      }
      asked += questions.length;
    }
    const tired = performance.now() - start > MOST_MS || disputes.length >= MOST_DISPUTES;
    if (tired && i + 1 < names.length) return done(name);
  }
  return done(null);
}
