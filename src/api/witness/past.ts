/**
 * The witnesses of a plan of the past: a throw-away engine, and the rules that the plan would get.
 *
 * @module
 */

import type { PacketQuery } from "../../engine/handle.ts";
import { LocalEngine } from "../../engine/local.ts";
import type { Plan, ServicePlan } from "../../plan/plan.ts";
import { PlanViews } from "../plan_views.ts";
import type { ApiState } from "../state.ts";
import { Witnesses } from "./witnesses.ts";

/** Room of an engine that answers about one packet. */
const ROOM = { connections: 16, affinities: 16, servicePorts: 64, frontends: 256, backends: 4096 };

/**
 * Witnesses for one packet: of the plan only the Services count that have a frontend at its
 * destination, or its source, so that this costs little however large the cluster.
 */
export async function witnessesOfThen(
  state: ApiState,
  then: Plan,
  packet: PacketQuery,
): Promise<Witnesses> {
  const services = new Map(
    [...then.services].filter(([, service]) => concerns(service, packet)),
  );
  const plan: Plan = { ...then, services };
  const backends = [...services.values()].flatMap(({ ports }) => ports)
    .reduce((sum, { endpoints }) => sum + endpoints.length, 0);
  const engine = LocalEngine.create({
    ...ROOM,
    // Who asks again about the past gets the same answer.
    seed: 1n,
    backends: Math.max(ROOM.backends, 2 * backends),
    masqueradeAlways: new Witnesses(state, new PlanViews(state)).masqueradesAlways,
  });
  await engine.apply({ node: plan.node, updated: [...services.values()], removed: [] });
  const past: ApiState = {
    ...state,
    node: {},
    engine,
    plan: () => plan,
    revision: () => 0,
    fork: () => state.fork(),
    problems: () => state.problems(),
    health: () => state.health(),
  };
  return new Witnesses(past, new PlanViews(past));
}

function concerns({ ports }: ServicePlan, { source, dest, port }: PacketQuery): boolean {
  return ports.some(({ frontends }) =>
    frontends.some((frontend) =>
      frontend.address === null
        ? frontend.port === port
        : frontend.address === dest || frontend.address === source
    )
  );
}
