/**
 * Scenarios inside the virtual machine, where tests have no steps.
 *
 * @module
 */

import { messageOf } from "../../src/errors.ts";
import type { GuestTests } from "../integration/vm/guest.ts";
import { loadScenarios, runScenario, type ScenarioDriver } from "./runner.ts";

/** A test per scenario, which fails with what was wrong of every flow, and returns their number. */
export function guestScenarios(driver: ScenarioDriver): GuestTests {
  return Object.fromEntries(
    loadScenarios().map((scenario) => [scenario.name, async () => {
      const failures: string[] = [];
      let flows = 0;
      await runScenario(driver, scenario, {
        async step(name, fn) {
          flows++;
          try {
            await fn();
          } catch (error) {
            failures.push(`${name}: ${messageOf(error)}`);
          }
        },
      });
      if (failures.length > 0) throw new Error(failures.join("\n"));
      return flows;
    }]),
  );
}
