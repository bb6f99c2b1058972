/**
 * Where flows go by the plan, whatever data plane carries it out.
 *
 * @module
 */

import { flat } from "../flat_text.ts";
import { decide, sourcesAlike } from "../plan/decide.ts";
import { FrontendIndex } from "../plan/frontend_index.ts";
import type { Plan, SourceClass } from "../plan/plan.ts";
import type {
  Answer,
  AnswerBackend,
  Answered,
  AnswerInShort,
  Flow,
  Outcome,
  Step,
  Verdict,
} from "./answer.ts";

/** The answers about flows, in their order. The index, where there is one already, is the plan's. */
export function explainByPlan(
  flows: readonly Flow[],
  plan: Plan,
  index: FrontendIndex = new FrontendIndex(plan),
): Answer[] {
  return flows.map((flow) => {
    const { unknown, ...said } = sayByPlan(flow, plan, index);
    return { ...said, outcomes: outcomesOf(said.verdict, said.backends, said.steps), unknown };
  });
}

/** The answer about one flow, whose ends follow from it: see {@link outcomesOf}. */
export function sayByPlan(flow: Flow, plan: Plan, index: FrontendIndex): AnswerInShort {
  const { verdict, service, backends, masquerade, sourceClass, reason } = decide(plan, flow, index);
  const steps = [
    step(flat`source ${flow.source}`, CLASSES[sourceClass]),
    step(flat`destination ${flow.dest}`, reason),
  ];
  return { name: flow.name, verdict, service, backends, masquerade, steps, unknown: [] };
}

/** The same, and for whom else it is the answer. */
export function answerByPlan(
  flow: Flow,
  plan: Plan,
  index: FrontendIndex,
): Answered<AnswerInShort> {
  return { answer: sayByPlan(flow, plan, index), sender: sourcesAlike(plan, flow, index) };
}

/** The ends of a packet that all its steps have led to: one for each backend that it may get. */
export function outcomesOf(
  verdict: Verdict,
  backends: readonly AnswerBackend[],
  steps: readonly Step[],
): Outcome[] {
  const way = steps.map((_, i) => i);
  if (verdict !== "FORWARD") {
    return [{ verdict, backend: null, masquerade: false, probability: 1, steps: way }];
  }
  return backends.map(({ address, port, probability, masquerade }) => ({
    verdict,
    backend: { address, port },
    masquerade,
    probability,
    steps: way,
  }));
}

const CLASSES: Readonly<Record<SourceClass, string>> = {
  pod: "a local pod's",
  node: "the node's own",
  outside: "from outside",
};

function step(text: string, action: string): Step {
  return { hook: null, table: null, chain: null, rule: null, line: null, text, action };
}
