/**
 * Where the agent on a node learns of Services: from manifests or from the Kubernetes API.
 *
 * @module
 */

import { ApiClient } from "../cluster/kubernetes/api_client.ts";
import { isInPod } from "../cluster/kubernetes/access.ts";
import { KubernetesSource } from "../cluster/kubernetes/source.ts";
import { ManifestSource } from "../cluster/manifests/source.ts";
import type { ClusterSource } from "../cluster/source.ts";
import type { Config } from "../config/config.ts";
import { UsageError } from "../config/usage.ts";
import { VERSION } from "../config/version.ts";
import { messageOf } from "../errors.ts";

/** A source, and how to let go of what it holds. */
export interface OpenSource {
  readonly source: ClusterSource;
  /** After the agent has stopped. */
  close(): void;
}

/** Whether the configuration, or being in a pod, names a source; without one, there is the lab. */
export function namesSource(config: Config): boolean {
  return config.manifests !== null || namesCluster(config) || isInPod();
}

function namesCluster({ kubeconfig, master }: Config): boolean {
  return kubeconfig !== "" || master !== "";
}

/** @throws {UsageError} when two sources are named, or the cluster's credentials cannot be read. */
export async function openSource(config: Config): Promise<OpenSource> {
  const { manifests, kubeconfig, master, nodeName } = config;
  if (manifests === null) {
    const client = await ApiClient.open({ kubeconfig, master, userAgent: `switchyard/${VERSION}` })
      .catch((error) => {
        throw new UsageError(messageOf(error));
      });
    const source = new KubernetesSource({ transport: client, nodeName, serviceCIDRs: true });
    return { source, close: () => client.close() };
  }
  if (namesCluster(config)) {
    const flag = kubeconfig === "" ? "--master" : "--kubeconfig";
    throw new UsageError(`--manifests and ${flag}: expected one source of cluster state`);
  }
  const source = new ManifestSource({
    path: manifests,
    watch: true,
    serviceClusterIPRanges: config.serviceClusterIPRanges,
    podNetworks: config.clusterCIDRs,
    nodeName,
  });
  return { source, close() {} };
}
