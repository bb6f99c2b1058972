import { DEFAULT_RULE_OPTIONS } from "../../../src/dataplane/iptables/options.ts";
import { render } from "../../../src/dataplane/iptables/render.ts";
import { explain, type NodeTables } from "../../../src/explain/iptables/explain.ts";
import { renderedTables } from "../../../src/explain/iptables/rendered.ts";
import { testScenarios } from "../../scenarios/runner.ts";
import { outcomeOf, questionOf, RenderedDriver } from "../rendered_driver.ts";

/** Probabilities in rules have ten decimals. */
const TOLERANCE = 1e-9;

const driver = new RenderedDriver("iptables", TOLERANCE, (plan, configuration) => {
  const { families, nodePortAddresses, nodeAddresses } = configuration;
  const options = { ...DEFAULT_RULE_OPTIONS, nodePortAddresses };
  const tables: NodeTables = Object.fromEntries(
    families.map((family) => [family, renderedTables(render(plan, family, options).rules)]),
  );
  return (way) => outcomeOf(explain(questionOf(way), { tables, nodeAddresses }));
});

testScenarios(driver, { title: "the evaluator over rendered iptables rules" });
