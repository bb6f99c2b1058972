import assert from "node:assert/strict";
import { simulationOf, SimulationRequest } from "../../src/simulate/request.ts";
import { simulate } from "../../src/simulate/simulate.ts";
import { simulateAside, SimulationTimeout } from "../../src/simulate/simulator.ts";

Deno.test("a simulation aside has the outcome of one here", async () => {
  const request = SimulationRequest.parse({ seconds: 5, schedulers: ["wlc", "random"] });
  const { workload, schedulings } = simulationOf(request);
  const here = schedulings.map((scheduling) => simulate(workload, scheduling));
  assert.deepEqual(await simulateAside(workload, schedulings, 30_000), here);
});

Deno.test("a simulation that takes too long is given up", async () => {
  const { workload, schedulings } = simulationOf(
    SimulationRequest.parse({ schedulers: ["rr"], arrivals: { perSecond: 8000 } }),
  );
  await assert.rejects(simulateAside(workload, schedulings, 1), SimulationTimeout);
});
