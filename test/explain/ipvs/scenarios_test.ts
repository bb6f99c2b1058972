import assert from "node:assert/strict";
import { JUMPS } from "../../../src/dataplane/ipvs/jumps.ts";
import { DEFAULT_IPVS_OPTIONS } from "../../../src/dataplane/ipvs/options.ts";
import { render } from "../../../src/dataplane/ipvs/render.ts";
import { stateExplainer } from "../../../src/explain/ipvs/explain.ts";
import { type FlowOutcome, testScenarios } from "../../scenarios/runner.ts";
import { outcomeOf, questionOf, RenderedDriver } from "../rendered_driver.ts";

const driver = new RenderedDriver("ipvs", 0, (plan, configuration) => {
  const { families, nodePortAddresses, nodeAddresses, masqueradeAll } = configuration;
  const options = {
    ...DEFAULT_IPVS_OPTIONS,
    rules: { ...DEFAULT_IPVS_OPTIONS.rules, nodePortAddresses },
    masqueradeAll,
  };
  const states = families.map((family) => render(plan, family, options).state);
  const ask = stateExplainer({ states, jumps: JUMPS, nodeAddresses, used: false }, () => null);
  const virtual = new Set(states.flatMap(({ addresses }) => [...addresses]));
  return (way) => {
    const outcome = outcomeOf(ask(questionOf(way)));
    const { address } = way.to;
    if (nodeAddresses.includes(way.from) && virtual.has(address)) {
      // The kernel chooses this source for a program of the node that binds no address.
      const chosen = outcomeOf(ask(questionOf({ ...way, from: address })));
      assert.deepEqual(unmasqueraded(chosen), unmasqueraded(outcome));
      assert.ok(chosen.backends.every(({ masquerade }) => masquerade), "it must never leave");
    }
    return outcome;
  };
}, { scheduler: "rr" });

function unmasqueraded({ backends, ...rest }: FlowOutcome): FlowOutcome {
  return { ...rest, backends: backends.map((backend) => ({ ...backend, masquerade: null })) };
}

testScenarios(driver, { title: "the evaluator over rendered ipvs state" });
