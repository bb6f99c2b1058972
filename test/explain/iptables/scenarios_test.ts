import { DEFAULT_RULE_OPTIONS } from "../../../src/dataplane/iptables/options.ts";
import { render } from "../../../src/dataplane/iptables/render.ts";
import { explain, type NodeTables } from "../../../src/explain/iptables/explain.ts";
import { renderedTables } from "../../../src/explain/iptables/rendered.ts";
import { Planner } from "../../../src/plan/planner.ts";
import {
  type Flow,
  nodeChange,
  plannerConfig,
  type Scenario,
  ScenarioCluster,
} from "../../scenarios/format.ts";
import { compare, type FlowOutcome, loadScenarios } from "../../scenarios/runner.ts";

/** Probabilities in rules have ten decimals. */
const TOLERANCE = 1e-9;

function outcome({ from, to }: Flow, tables: NodeTables, nodeAddresses: string[]): FlowOutcome {
  const { address: dest, port, protocol } = to;
  const answer = explain(
    { name: "", source: from, dest, port, protocol },
    { tables, nodeAddresses },
  );
  if (answer.unknown.length > 0) throw new Error(JSON.stringify(answer.unknown));
  const sticky = answer.steps.some(({ action }) => / now holds /.test(action));
  return { verdict: answer.verdict, backends: answer.backends, sticky };
}

async function run(scenario: Scenario, context: Deno.TestContext): Promise<void> {
  const { configuration, steps } = scenario;
  const { families, nodePortAddresses, nodeAddresses } = configuration;
  const options = { ...DEFAULT_RULE_OPTIONS, nodePortAddresses };
  const cluster = new ScenarioCluster();
  const planner = new Planner(plannerConfig(configuration));
  planner.update([nodeChange(configuration)]);
  for (const step of steps) {
    planner.update(cluster.changes(step));
    const tables: NodeTables = Object.fromEntries(
      families.map((
        family,
      ) => [family, renderedTables(render(planner.plan, family, options).rules)]),
    );
    for (const flow of step.flows) {
      const documented = flow.differs["iptables"];
      if (documented?.expect === null) continue;
      const expected = documented?.expect ?? flow.expect;
      await context.step(`${step.name}: ${flow.name}`, () => {
        compare(outcome(flow, tables, nodeAddresses), expected, flow, TOLERANCE);
      });
    }
  }
}

for (const scenario of loadScenarios()) {
  Deno.test({
    name: `the evaluator over rendered iptables rules: ${scenario.name}`,
    fn: (context) => run(scenario, context),
  });
}
