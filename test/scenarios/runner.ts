/**
 * Runs scenario files on a data plane.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { ClusterChange } from "../../src/cluster/source.ts";
import {
  type Configuration,
  type Expectation,
  type Flow,
  nodeChange,
  parseScenario,
  type Scenario,
  ScenarioCluster,
} from "./format.ts";

/** What a driver found out about a flow. Null: it cannot tell. */
export interface FlowOutcome {
  readonly verdict: "FORWARD" | "REJECT" | "DROP" | "PASS";
  readonly backends: readonly {
    readonly address: string;
    readonly port: number;
    readonly probability: number | null;
    readonly masquerade: boolean | null;
  }[];
  readonly sticky: boolean | null;
}

/** One implementation of Services, as scenarios use it. */
export interface ScenarioDriver {
  /** The name that scenarios use in `differs`. */
  readonly name: string;
  /** What it has in common with others that scenarios may name there, "lab" for example. */
  readonly kind?: string;
  /** How far a probability may be from the expected one: 0 where they are computed exactly. */
  readonly tolerance: number;
  /** Begins a scenario, with nothing in the cluster. */
  start(configuration: Configuration): Promise<void>;
  /** Applies the changes of a step and returns when they are in effect. */
  step(changes: readonly ClusterChange[]): Promise<void>;
  /** Finds out what becomes of new connections of a flow. */
  flow(flow: Pick<Flow, "from" | "to">): Promise<FlowOutcome>;
  /** Ends the scenario; called also when something failed. */
  stop(): Promise<void>;
}

/** Every scenario file of this folder, by file name. */
export function loadScenarios(): Scenario[] {
  const files = [...Deno.readDirSync(import.meta.dirname!)].map((entry) => entry.name)
    .filter((name) => name.endsWith(".yaml")).sort();
  return files.map((file) =>
    parseScenario(Deno.readTextFileSync(`${import.meta.dirname}/${file}`), file)
  );
}

/** Registers a test per scenario, with a sub-step per flow; all are skipped when there is a reason. */
export function testScenarios(
  driver: ScenarioDriver,
  { skip = null, title = driver.name }: { skip?: string | null; title?: string } = {},
): void {
  for (const scenario of loadScenarios()) {
    Deno.test({
      name: `${title}: ${scenario.name}${skip === null ? "" : ` (skipped: ${skip})`}`,
      ignore: skip !== null,
      fn: (context) => runScenario(driver, scenario, context),
    });
  }
}

/** What {@link runScenario} needs of a test's context: to run one flow as a part of its own. */
export interface ScenarioContext {
  step(name: string, fn: () => Promise<void>): Promise<unknown>;
}

/** Runs one scenario, each flow as a step. */
export async function runScenario(
  driver: ScenarioDriver,
  scenario: Scenario,
  context: ScenarioContext,
): Promise<void> {
  const cluster = new ScenarioCluster();
  await driver.start(scenario.configuration);
  try {
    for (const [index, step] of scenario.steps.entries()) {
      const changes = cluster.changes(step);
      if (index === 0) changes.unshift(nodeChange(scenario.configuration));
      await driver.step(changes);
      for (const flow of step.flows) {
        const differs = flow.differs[driver.name] ?? flow.differs[driver.kind ?? ""];
        if (differs !== undefined && differs.expect === null) continue;
        const suffix = differs === undefined ? "" : ` (differs: ${differs.reason})`;
        await context.step(`${step.name}: ${flow.name}${suffix}`, async () => {
          const outcome = await driver.flow(flow);
          compare(outcome, differs?.expect ?? flow.expect, flow, driver.tolerance);
        });
      }
    }
  } finally {
    await driver.stop();
  }
}

/** Throws an AssertionError when the outcome is not what was expected. */
export function compare(
  outcome: FlowOutcome,
  expected: Expectation,
  flow: Pick<Flow, "from">,
  tolerance: number,
): void {
  assert.equal(outcome.verdict, expected.verdict, "verdict");
  const name = ({ address, port }: { address: string; port: number }) => `${address} ${port}`;
  assert.deepEqual(
    outcome.backends.map(name).sort(),
    expected.backends.map(name).sort(),
    "backends",
  );
  for (const backend of expected.backends) {
    const found = outcome.backends.find((other) => name(other) === name(backend))!;
    if (found.probability !== null) {
      assert.ok(
        Math.abs(found.probability - backend.probability) <= tolerance + Number.EPSILON,
        `probability of ${name(backend)} is ${found.probability}, not ${backend.probability}`,
      );
    }
    if (found.masquerade !== null) {
      const masquerade = expected.masquerade === "hairpin"
        ? backend.address === flow.from
        : expected.masquerade;
      assert.equal(found.masquerade, masquerade, `masquerade on the way to ${name(backend)}`);
    }
  }
  if (outcome.sticky !== null) assert.equal(outcome.sticky, expected.sticky, "sticky");
}
