import { parseRuleset } from "../../../src/dataplane/nftables/language/parse.ts";
import { printRuleset } from "../../../src/dataplane/nftables/language/print.ts";
import { DEFAULT_NFTABLES_OPTIONS } from "../../../src/dataplane/nftables/options.ts";
import { render } from "../../../src/dataplane/nftables/render.ts";
import { tableOf } from "../../../src/dataplane/nftables/rules.ts";
import type { Answer, Flow as Question } from "../../../src/explain/answer.ts";
import { explainer, tablesOf } from "../../../src/explain/nftables/explain.ts";
import { Planner } from "../../../src/plan/planner.ts";
import {
  type Flow,
  nodeChange,
  plannerConfig,
  type Scenario,
  ScenarioCluster,
} from "../../scenarios/format.ts";
import { compare, type FlowOutcome, loadScenarios } from "../../scenarios/runner.ts";

/** Half a unit of the last place: shares are exact until they become numbers. */
const TOLERANCE = 1e-12;

function outcome({ from, to }: Flow, ask: (flow: Question) => Answer): FlowOutcome {
  const { address: dest, port, protocol } = to;
  const answer = ask({ name: "", source: from, dest, port, protocol });
  if (answer.unknown.length > 0) throw new Error(JSON.stringify(answer.unknown));
  const sticky = answer.steps.some(({ action }) => / now holds /.test(action));
  return { verdict: answer.verdict, backends: answer.backends, sticky };
}

async function run(scenario: Scenario, context: Deno.TestContext): Promise<void> {
  const { configuration, steps } = scenario;
  const { families, nodePortAddresses, nodeAddresses } = configuration;
  const options = { ...DEFAULT_NFTABLES_OPTIONS, nodePortAddresses };
  const cluster = new ScenarioCluster();
  const planner = new Planner(plannerConfig(configuration));
  planner.update([nodeChange(configuration)]);
  for (const step of steps) {
    planner.update(cluster.changes(step));
    const tables = families.map((family) => tableOf(render(planner.plan, family, options).rules));
    // As a node's dump would give them.
    const listed = parseRuleset(printRuleset({ tables }));
    const ask = explainer({ tables: tablesOf(listed), nodeAddresses });
    for (const flow of step.flows) {
      const documented = flow.differs["nftables"];
      if (documented?.expect === null) continue;
      const expected = documented?.expect ?? flow.expect;
      await context.step(`${step.name}: ${flow.name}`, () => {
        compare(outcome(flow, ask), expected, flow, TOLERANCE);
      });
    }
  }
}

for (const scenario of loadScenarios()) {
  Deno.test({
    name: `the evaluator over rendered nftables rules: ${scenario.name}`,
    fn: (context) => run(scenario, context),
  });
}
