/**
 * The agent as the HTTP API sees it.
 *
 * @module
 */

import type { ApiState } from "../api/state.ts";
import type { Agent } from "./agent.ts";

/** @param programming whether this node's traffic is forwarded, or only queries are answered. */
export function apiState(agent: Agent, programming: boolean): ApiState {
  return {
    mode: agent.dataPlane.mode,
    programming,
    engine: agent.dataPlane.engine,
    plan: () => agent.plan,
    problems: () => agent.problems,
    health: () => agent.health.report(),
  };
}
