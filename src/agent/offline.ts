/**
 * What the HTTP API would see of an agent that serves manifests, without one: a plan, an engine that
 * has it, and the rules of a node as somebody printed them.
 *
 * @module
 */

import { EventHub } from "../api/events/hub.ts";
import type { ApiState } from "../api/state.ts";
import { formatProblem } from "../cluster/source.ts";
import type { Config } from "../config/config.ts";
import type { ProxyMode } from "../dataplane/dataplane.ts";
import { LocalEngine } from "../engine/local.ts";
import { History } from "../history/history.ts";
import { planFromManifests } from "./from_manifests.ts";
import type { GiveNode } from "./given_node.ts";
import { checkMode } from "./mode.ts";
import { renderingOptions } from "./options.ts";

/** A state, and what of the manifests is not in it, one line each. */
export interface OfflineState {
  readonly state: ApiState;
  readonly problems: readonly string[];
}

/**
 * The state for manifests.
 *
 * @param given the node that is compared with them; absent: there is none.
 * @throws {UsageError} when the manifests cannot be read, or the mode cannot be had.
 */
export async function offlineState(
  config: Config,
  mode: ProxyMode,
  given?: { readonly node: GiveNode; readonly localAddresses?: readonly string[] },
): Promise<OfflineState> {
  checkMode(config, mode);
  const { plan, planner, problems, simulated } = await planFromManifests(
    config,
    mode,
    given?.localAddresses,
  );
  const engine = LocalEngine.create({ seed: 1n });
  await engine.apply({ node: plan.node, updated: [...plan.services.values()], removed: [] });
  const { view, ...node } = given?.node(plan) ??
    { families: config.families, view: {}, ...renderingOptions(config) };
  const state: ApiState = {
    mode,
    ...node,
    node: view,
    programming: given !== undefined,
    engine,
    serviceNetworks: config.serviceClusterIPRanges,
    plan: () => plan,
    fork: () => planner.fork(),
    simulated,
    revision: () => 0,
    problems: () => problems,
    health: () => {
      const now = Date.now();
      return {
        healthy: true,
        nodeEligible: true,
        currentTime: now,
        lastUpdated: now,
        status: [],
      };
    },
    events: new EventHub(),
    history: new History(),
  };
  return { state, problems: problems.map(formatProblem) };
}
