/**
 * Where flows go by the plan, whatever data plane carries it out.
 *
 * @module
 */

import { decide } from "../plan/decide.ts";
import { FrontendIndex } from "../plan/frontend_index.ts";
import type { Plan } from "../plan/plan.ts";
import type { Answer, Flow, Outcome, Step } from "./answer.ts";

/** The answers about flows, in their order. The index, where there is one already, is the plan's. */
export function explainByPlan(
  flows: readonly Flow[],
  plan: Plan,
  index: FrontendIndex = new FrontendIndex(plan),
): Answer[] {
  return flows.map((flow) => explainOne(flow, plan, index));
}

function explainOne(flow: Flow, plan: Plan, index: FrontendIndex): Answer {
  const { verdict, service, backends, masquerade, sourceClass, reason } = decide(plan, flow, index);
  const source = step(
    `source ${flow.source}`,
    { pod: "a local pod's", node: "the node's own", outside: "from outside" }[sourceClass],
  );
  const steps = [source, step(`destination ${flow.dest}`, reason)];
  const way = steps.map((_, i) => i);
  const outcomes: Outcome[] = verdict === "FORWARD"
    ? backends.map(({ address, port, probability, masquerade }) => ({
      verdict,
      backend: { address, port },
      masquerade,
      probability,
      steps: way,
    }))
    : [{ verdict, backend: null, masquerade: false, probability: 1, steps: way }];
  return { name: flow.name, verdict, service, backends, masquerade, steps, outcomes, unknown: [] };
}

function step(text: string, action: string): Step {
  return { hook: null, table: null, chain: null, rule: null, line: null, text, action };
}
