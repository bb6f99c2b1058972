/**
 * Puts the agent together: planner, data plane, metrics and HTTP servers around a source.
 *
 * @module
 */

import { EventHub } from "../api/events/hub.ts";
import { Metrics } from "../api/metrics.ts";
import type { ApiAnswer } from "../cluster/kubernetes/api_client.ts";
import type { ClusterSource } from "../cluster/source.ts";
import type { Config } from "../config/config.ts";
import { gates } from "../config/gates.ts";
import type { SyncPeriods } from "../config/parts.ts";
import { VERSION } from "../config/version.ts";
import type { DataPlane, ProxyMode } from "../dataplane/dataplane.ts";
import { IptablesDataPlane } from "../dataplane/iptables/dataplane.ts";
import { NftablesDataPlane } from "../dataplane/nftables/dataplane.ts";
import { HttpListeners } from "../health_check/listeners.ts";
import { NamespaceListeners } from "../health_check/namespace_listeners.ts";
import { HealthCheckServers } from "../health_check/servers.ts";
import { Planner } from "../plan/planner.ts";
import { Agent, type CompanionContext } from "./agent.ts";
import type { ClusterEvents } from "./cluster_events.ts";
import { eventsTo, observers } from "./events.ts";
import { historyTo, type OpenHistory, openHistory } from "./history.ts";
import { Housekeeping, processMemory } from "./housekeeping.ts";
import { plannerConfig } from "./options.ts";
import { type RunningServers, startServers } from "./servers.ts";
import { apiState } from "./state.ts";
import { tracingObserver } from "./tracing.ts";
import { zpagesOf } from "./zpages.ts";

/** What the configuration does not say. */
export interface AgentParts {
  readonly source: ClusterSource;
  readonly dataPlane: DataPlane;
  /** Takes who is to be told when the data plane needs a sync; absent: it never does. */
  readonly onSyncNeeded?: (request: () => void) => void;
  /** Whether the data plane forwards, or there is only an engine that answers. */
  readonly programming: boolean;
  /** Descriptor of the node's network namespace; absent: this process's own. */
  readonly namespaceFd?: number;
  /** Addresses of the node's interfaces, for when none are configured. */
  readonly localAddresses: readonly string[];
  /** Takes who is to be told of requests to the API server; absent: there is none. */
  readonly onAnswer?: (answered: (answer: ApiAnswer) => void) => void;
  /** Tells the cluster what happens; absent: there is none. */
  readonly clusterEvents?: ClusterEvents;
}

/** An agent that has begun. */
export interface RunningAgent {
  readonly agent: Agent;
  readonly servers: RunningServers;
  /** Resolves after {@link stop}; rejects when the source cannot be read. */
  readonly done: Promise<void>;
  /** Ends the servers, then the agent and its data plane. */
  stop(): Promise<void>;
}

/** What a data plane of our own can do: syncs are cheap, and edits are to be seen at once. */
const USERSPACE_SYNC: SyncPeriods = { minMs: 50, periodMs: 30_000 };
const USERSPACE_RETRY_MS = 1000;

function syncPeriods(config: Config, mode: ProxyMode): SyncPeriods {
  if (mode === "userspace") return USERSPACE_SYNC;
  return mode === "ipvs" ? config.ipvsSync : config.iptablesSync;
}

/**
 * Begins to serve what the source has. The data plane is the agent's from here on, and is stopped
 * also when this rejects.
 */
export async function startAgent(config: Config, parts: AgentParts): Promise<RunningAgent> {
  const { source, dataPlane, onSyncNeeded, programming, localAddresses, clusterEvents } = parts;
  const mode = dataPlane.mode;
  const periods = syncPeriods(config, mode);
  const metrics = new Metrics(config.families, VERSION, gates(config.featureGates));
  dataPlane.observe?.(metrics);
  parts.onAnswer?.((answer) => metrics.answered(answer));
  if (dataPlane instanceof IptablesDataPlane) metrics.followIptables(dataPlane);
  if (dataPlane instanceof NftablesDataPlane) metrics.followNftables(dataPlane);
  const events = new EventHub();
  const memory = processMemory();
  const housekeeping = memory === null ? null : new Housekeeping(memory);
  let agent: Agent;
  let servers: RunningServers;
  let history: OpenHistory | null = null;
  try {
    history = await openHistory(config.stateDir);
    const planner = new Planner(plannerConfig(config, mode, localAddresses));
    agent = new Agent({
      source,
      planner,
      dataPlane,
      // Who asks a node that is not programmed must not be sent there.
      healthChecks: programming ? (context) => healthChecks(config, parts, context) : undefined,
      nodeName: config.nodeName,
      families: config.families,
      minSyncMs: periods.minMs,
      syncPeriodMs: periods.periodMs,
      retryMs: mode === "userspace" ? USERSPACE_RETRY_MS : undefined,
      observer: observers(
        metrics,
        eventsTo(events),
        historyTo(history.history, dataPlane),
        clusterEvents,
        tracingObserver(mode),
        housekeeping,
      ),
    });
    const state = apiState({
      agent,
      planner,
      simulated: source.simulated,
      config,
      programming,
      events,
      history: history.history,
    });
    servers = await startServers(config, state, metrics, {
      zpages: zpagesOf(config, mode),
      listenFailed: (server, message) => clusterEvents?.listenFailed(server, message),
    });
    clusterEvents?.started();
  } catch (error) {
    await dataPlane.stop();
    await history?.close();
    throw error;
  }
  const { close } = history;
  onSyncNeeded?.(() => agent.requestSync());
  const done = agent.start();
  done.catch(() => {});
  return {
    agent,
    servers,
    done,
    async stop() {
      housekeeping?.stop();
      await servers.stop();
      await agent.stop();
      await close();
    },
  };
}

function healthChecks(
  { nodePortAddresses, families }: Config,
  { namespaceFd }: AgentParts,
  context: CompanionContext,
): HealthCheckServers {
  return new HealthCheckServers({
    ...context,
    nodePortAddresses,
    families,
    listeners: (answer) =>
      namespaceFd === undefined
        ? new HttpListeners(answer)
        : new NamespaceListeners(namespaceFd, answer),
  });
}
