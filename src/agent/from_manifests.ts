/**
 * The plan for a node as manifests describe the cluster, made once and without the node.
 *
 * @module
 */

import { loadManifests } from "../cluster/manifests/load.ts";
import type { ClusterProblem, SimulatedCluster } from "../cluster/source.ts";
import type { Config } from "../config/config.ts";
import { UsageError } from "../config/usage.ts";
import type { ProxyMode } from "../dataplane/dataplane.ts";
import type { Plan } from "../plan/plan.ts";
import { Planner } from "../plan/planner.ts";
import { plannerConfig } from "./options.ts";
import { messageOf } from "../errors.ts";

/** A plan, and what of the manifests is not in it. */
export interface ManifestPlan {
  readonly plan: Plan;
  /** Has that plan. */
  readonly planner: Planner;
  readonly problems: readonly ClusterProblem[];
  /** The cluster that they make. */
  readonly simulated: SimulatedCluster;
}

/**
 * @param localAddresses of the node's interfaces, where there are any.
 * @throws {UsageError} when there are no manifests or they cannot be read at all.
 */
export async function planFromManifests(
  config: Config,
  mode: ProxyMode,
  localAddresses: readonly string[] = [],
): Promise<ManifestPlan> {
  if (config.manifests === null) {
    throw new UsageError("expected --manifests: a file, a folder, or - for standard input");
  }
  const loaded = await loadManifests({
    path: config.manifests,
    serviceClusterIPRanges: config.serviceClusterIPRanges,
    podNetworks: config.clusterCIDRs,
    nodeName: config.nodeName,
  }).catch((error) => {
    const message = messageOf(error);
    throw new UsageError(`--manifests: ${message}`);
  });
  const planner = new Planner(plannerConfig(config, mode, localAddresses));
  planner.update(loaded.objects.map((object) => ({ action: "apply", object })));
  const problems = [...loaded.problems, ...planner.problems];
  return { plan: planner.plan, planner, problems, simulated: loaded.simulated };
}
