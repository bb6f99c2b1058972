/** What is said about the past is what was said then. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { PlanViews } from "../../src/api/plan_views.ts";
import { witnessesOfThen } from "../../src/api/witness/past.ts";
import { Witnesses } from "../../src/api/witness/witnesses.ts";
import type { PacketQuery } from "../../src/engine/handle.ts";
import { clusterChange } from "../plan/arbitraries.ts";
import { RealState } from "./real_state.ts";

/** To every kind of frontend that the clusters have, and to none. */
const PACKETS: readonly PacketQuery[] = [
  ["10.180.0.77", "10.96.0.1", 80],
  ["203.0.113.9", "10.96.0.2", 53],
  ["203.0.113.9", "192.168.50.10", 30001],
  ["192.168.50.10", "203.0.113.7", 80],
  ["fd00:180::9", "fd00:96::1", 80],
  ["2001:db8::9", "fd00:50::10", 30002],
].map(([source, dest, port]) => ({ source, dest, port, protocol: "TCP" }) as PacketQuery);

/** What both witnesses say, but for what depends on the connections before. */
async function said(witnesses: Witnesses): Promise<unknown[]> {
  const answers = [];
  for (const packet of PACKETS) {
    const { engine, rules } = await witnesses.ask(packet);
    const { verdict, service, frontend, sourceClass, backends, masquerade } = engine;
    answers.push({
      engine: { verdict, service, frontend, sourceClass, backends, masquerade },
      rules: [rules.verdict, rules.backends, rules.masquerade],
    });
  }
  return answers;
}

for (const mode of ["iptables", "userspace"] as const) {
  Deno.test(`answers about the past are those of then, in ${mode} mode`, async () => {
    const steps = fc.array(fc.array(clusterChange, { maxLength: 6 }), { maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(steps, async (steps) => {
        const state = new RealState(mode, false, { backends: 4096, frontends: 256 });
        const then = new Map<number, unknown[]>();
        for (const changes of [[], ...steps]) {
          for (const { action, object } of changes) await state.apply([object], { action });
          const [last] = state.history.entries();
          if (last === undefined) continue;
          then.set(last.id, await said(new Witnesses(state, new PlanViews(state))));
        }
        for (const [id, answers] of then) {
          const plan = state.history.planAt(id)!;
          for (const [i, packet] of PACKETS.entries()) {
            const [again] = (await said(await witnessesOfThen(state, plan, packet))).slice(
              i,
              i + 1,
            );
            assert.deepEqual(again, answers[i]);
          }
        }
      }),
      { numRuns: 15 },
    );
  });
}
