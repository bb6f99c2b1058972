import { parseRuleset } from "../../../src/dataplane/nftables/language/parse.ts";
import { printRuleset } from "../../../src/dataplane/nftables/language/print.ts";
import { DEFAULT_NFTABLES_OPTIONS } from "../../../src/dataplane/nftables/options.ts";
import { render } from "../../../src/dataplane/nftables/render.ts";
import { tableOf } from "../../../src/dataplane/nftables/rules.ts";
import { explainer, tablesOf } from "../../../src/explain/nftables/explain.ts";
import { testScenarios } from "../../scenarios/runner.ts";
import { outcomeOf, questionOf, RenderedDriver } from "../rendered_driver.ts";

/** Half a unit of the last place: shares are exact until they become numbers. */
const TOLERANCE = 1e-12;

const driver = new RenderedDriver("nftables", TOLERANCE, (plan, configuration) => {
  const { families, nodePortAddresses, nodeAddresses } = configuration;
  const options = { ...DEFAULT_NFTABLES_OPTIONS, nodePortAddresses };
  const tables = families.map((family) => tableOf(render(plan, family, options).rules));
  // As a node's dump would give them.
  const listed = parseRuleset(printRuleset({ tables }));
  const ask = explainer({ tables: tablesOf(listed), nodeAddresses });
  return (way) => outcomeOf(ask(questionOf(way)));
});

testScenarios(driver, { title: "the evaluator over rendered nftables rules" });
