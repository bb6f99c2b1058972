/**
 * Where the agent on a node learns of Services: from manifests or from the Kubernetes API.
 *
 * @module
 */

import { type ApiAnswer, ApiClient } from "../cluster/kubernetes/api_client.ts";
import { isInPod } from "../cluster/kubernetes/access.ts";
import { EventRecorder } from "../cluster/kubernetes/event_recorder.ts";
import { KubernetesSource } from "../cluster/kubernetes/source.ts";
import { statPath } from "../cluster/manifests/files.ts";
import { ManifestSource } from "../cluster/manifests/source.ts";
import type { Node } from "../cluster/objects.ts";
import type { ClusterSource } from "../cluster/source.ts";
import type { Config } from "../config/config.ts";
import { UsageError } from "../config/usage.ts";
import { VERSION } from "../config/version.ts";
import { messageOf } from "../errors.ts";

/** A source, and how to let go of what it holds. */
export interface OpenSource {
  readonly source: ClusterSource;
  /** Where Events go; null: there is no API server. */
  readonly events: EventRecorder | null;
  /** Takes who is to be told of requests to the API server. */
  onAnswer(answered: (answer: ApiAnswer) => void): void;
  /** After the agent has stopped. */
  close(): Promise<void>;
}

/** Events that wait when the agent ends get this long, milliseconds. */
const EVENTS_GRACE_MS = 1000;

/** Whether the configuration, or being in a pod, names a source; without one, there is the lab. */
export function namesSource(config: Config): boolean {
  return config.manifests !== null || config.configFile !== null || namesCluster(config) ||
    isInPod();
}

function namesCluster({ kubeconfig, master }: Config): boolean {
  return kubeconfig !== "" || master !== "";
}

const ADDRESS_TYPES: readonly string[] = ["InternalIP", "ExternalIP"];

/**
 * What the Node has to say before the first sync, and how long that is waited for: kube-proxy asks
 * six times in about half a minute for addresses, and waits five minutes for podCIDRs that it needs.
 */
function nodeNeeds({ detectLocalMode, nodeIPs }: Config) {
  const networks = detectLocalMode === "NodeCIDR";
  const addresses = nodeIPs.length === 0;
  if (!networks && !addresses) return {};
  return {
    nodeGraceMs: networks ? 300_000 : 35_000,
    isNodeReady: ({ spec, status }: Node) =>
      (!addresses || (status?.addresses ?? []).some(({ type }) => ADDRESS_TYPES.includes(type))) &&
      (!networks || (spec?.podCIDRs ?? []).length > 0),
  };
}

/** So that a mistyped path is told before anything is done to the node. */
async function refuseMissing(manifests: string): Promise<void> {
  if (manifests === "-") return;
  await statPath(manifests).catch((error) => {
    throw new UsageError(`--manifests: ${messageOf(error)}`);
  });
}

/** @throws {UsageError} when two sources are named, or what one is named by cannot be read. */
export async function openSource(config: Config): Promise<OpenSource> {
  const { manifests, kubeconfig, master, nodeName } = config;
  if (manifests === null) {
    let told = (_: ApiAnswer) => {};
    const client = await ApiClient.open({
      kubeconfig,
      master,
      userAgent: `switchyard/${VERSION}`,
      answered: (answer) => told(answer),
    }).catch((error) => {
      throw new UsageError(messageOf(error));
    });
    const source = new KubernetesSource({
      transport: client,
      nodeName,
      serviceCIDRs: true,
      ...nodeNeeds(config),
    });
    const events = new EventRecorder({
      writer: client,
      controller: "switchyard",
      instance: `switchyard-${nodeName}`,
    });
    return {
      source,
      events,
      onAnswer(answered) {
        told = answered;
      },
      async close() {
        await events.stop(EVENTS_GRACE_MS);
        client.close();
      },
    };
  }
  if (namesCluster(config)) {
    const flag = kubeconfig === "" ? "--master" : "--kubeconfig";
    throw new UsageError(`--manifests and ${flag}: expected one source of cluster state`);
  }
  await refuseMissing(manifests);
  const source = new ManifestSource({
    path: manifests,
    watch: true,
    serviceClusterIPRanges: config.serviceClusterIPRanges,
    podNetworks: config.clusterCIDRs,
    nodeName,
  });
  return { source, events: null, onAnswer() {}, close: () => Promise.resolve() };
}
