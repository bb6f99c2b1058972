import assert from "node:assert/strict";
import { JUMPS } from "../../../src/dataplane/ipvs/jumps.ts";
import { DEFAULT_IPVS_OPTIONS } from "../../../src/dataplane/ipvs/options.ts";
import { render } from "../../../src/dataplane/ipvs/render.ts";
import type { Answer, Flow as Asked } from "../../../src/explain/answer.ts";
import { stateExplainer } from "../../../src/explain/ipvs/explain.ts";
import { Planner } from "../../../src/plan/planner.ts";
import {
  type Flow,
  nodeChange,
  plannerConfig,
  type Scenario,
  ScenarioCluster,
} from "../../scenarios/format.ts";
import { compare, type FlowOutcome, loadScenarios } from "../../scenarios/runner.ts";

/** What the node itself sends from the virtual server's address must never leave with it. */
function outcome(source: string, { to }: Flow, ask: (flow: Asked) => Answer): FlowOutcome {
  const { address: dest, port, protocol } = to;
  const answer = ask({ name: "", source, dest, port, protocol });
  if (answer.unknown.length > 0) throw new Error(JSON.stringify(answer.unknown));
  const sticky = answer.steps.some(({ action }) => / now holds /.test(action));
  if (source !== to.address) return { verdict: answer.verdict, backends: answer.backends, sticky };
  assert.ok(answer.backends.every(({ masquerade }) => masquerade));
  const backends = answer.backends.map((backend) => ({ ...backend, masquerade: null }));
  return { verdict: answer.verdict, backends, sticky };
}

async function run(scenario: Scenario, context: Deno.TestContext): Promise<void> {
  const { configuration, steps } = scenario;
  const { families, nodePortAddresses, nodeAddresses, masqueradeAll } = configuration;
  const options = {
    ...DEFAULT_IPVS_OPTIONS,
    rules: { ...DEFAULT_IPVS_OPTIONS.rules, nodePortAddresses },
    masqueradeAll,
  };
  const cluster = new ScenarioCluster();
  const planner = new Planner({ ...plannerConfig(configuration), scheduler: "rr" });
  planner.update([nodeChange(configuration)]);
  for (const step of steps) {
    planner.update(cluster.changes(step));
    const states = families.map((family) => render(planner.plan, family, options).state);
    const ask = stateExplainer({ states, jumps: JUMPS, nodeAddresses, used: false }, () => null);
    const virtual = new Set(states.flatMap(({ addresses }) => [...addresses]));
    for (const flow of step.flows) {
      const documented = flow.differs["ipvs"];
      if (documented?.expect === null) continue;
      const expected = documented?.expect ?? flow.expect;
      // The kernel chooses the second for a program of the node that binds no address.
      const sources = [flow.from];
      if (nodeAddresses.includes(flow.from) && virtual.has(flow.to.address)) {
        sources.push(flow.to.address);
      }
      for (const source of sources) {
        await context.step(`${step.name}: ${flow.name}, from ${source}`, () => {
          compare(outcome(source, flow, ask), expected, flow, 0);
        });
      }
    }
  }
}

for (const scenario of loadScenarios()) {
  Deno.test({
    name: `the evaluator over rendered ipvs state: ${scenario.name}`,
    fn: (context) => run(scenario, context),
  });
}
