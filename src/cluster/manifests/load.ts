/** Reading manifests once. @module */

import type { ClusterObject, Pod } from "../objects.ts";
import type { ClusterProblem, SimulatedCluster } from "../source.ts";
import { ClusterModel } from "./cluster_model.ts";
import { type DecodedFile, decodeFile } from "./decode.ts";
import { byIdentity } from "./diff.ts";
import { readManifestFiles } from "./files.ts";
import { controlPlaneOptions, type ManifestOptions } from "./options.ts";

/** What manifests describe. */
export interface LoadedManifests {
  readonly objects: readonly ClusterObject[];
  /** The pods, for what has to run them. */
  readonly pods: readonly Pod[];
  readonly problems: readonly ClusterProblem[];
  /** The cluster that they make. */
  readonly simulated: SimulatedCluster;
}

/**
 * Reads manifests and computes the cluster that they describe. What is wrong with one object is in
 * `problems` and does not touch the others.
 *
 * @throws when the path itself cannot be read.
 */
export async function loadManifests(options: ManifestOptions): Promise<LoadedManifests> {
  const model = new ClusterModel(controlPlaneOptions(options));
  const files: DecodedFile[] = [];
  for (const file of await readManifestFiles(options.path)) files.push(await decodeFile(file));
  const { objects, pods, problems } = model.update(files);
  return { objects: [...byIdentity(objects).values()], pods, problems, simulated: model };
}
