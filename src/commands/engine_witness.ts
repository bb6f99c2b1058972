/**
 * The engine's word beside an answer by rules or plan, as the HTTP API gives both.
 *
 * @module
 */

import type { ExplanationView } from "../api/explanation.ts";
import { PlanViews } from "../api/plan_views.ts";
import type { ApiState } from "../api/state.ts";
import { Witnesses } from "../api/witness/witnesses.ts";
import type { Answer, Flow } from "../explain/answer.ts";

/** What the API's answer has besides; absent where there is no engine to be asked. */
type EngineWord = Pick<
  ExplanationView,
  "frontend" | "sourceClass" | "witnesses" | "engine" | "disagreements"
>;

/** An answer with what the engine says. */
export type ExplainedFlow = Answer & Partial<EngineWord>;

/** Adds the word of a state's engine to answers about the same plan, in their order. */
export function engineWitness(
  state: ApiState,
): (flows: readonly Flow[], answers: readonly Answer[]) => Promise<ExplainedFlow[]> {
  const witnesses = new Witnesses(state, new PlanViews(state));
  return async (flows, answers) => {
    const said = await state.engine.lookup(flows);
    return answers.map((answer, i): ExplainedFlow => {
      // Of packets that are no first ones conntrack decides, of which the engine here has none.
      if ((flows[i].state ?? "NEW") !== "NEW") return answer;
      const { verdict, backend, reason, frontend, sourceClass } = said[i];
      const disagreements = witnesses.compare(flows[i], said[i], answer);
      return {
        ...answer,
        frontend,
        sourceClass,
        witnesses: ["engine", witnesses.second],
        engine: { verdict, backend, reason },
        disagreements: [...disagreements],
      };
    });
  };
}

/** Where the witnesses do not agree though all is known, with an end of line behind each line. */
export function formatDisputes(answers: readonly ExplainedFlow[]): string {
  return answers.flatMap(({ name, witnesses, disagreements = [], unknown }) =>
    unknown.length > 0
      ? []
      : disagreements.filter(({ known }) => known === null).map(({ field, engine, rules }) =>
        `${name}: ${field}: engine ${engine}, ${witnesses?.[1] ?? "rules"} ${rules}\n`
      )
  ).join("");
}
