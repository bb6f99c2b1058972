/**
 * The agent as the HTTP API sees it.
 *
 * @module
 */

import type { EventHub } from "../api/events/hub.ts";
import type { ApiState, NodeView } from "../api/state.ts";
import type { SimulatedCluster } from "../cluster/source.ts";
import type { Config } from "../config/config.ts";
import type { DataPlane } from "../dataplane/dataplane.ts";
import { ConnectionReader } from "../dataplane/conntrack/reader.ts";
import { IptablesDataPlane } from "../dataplane/iptables/dataplane.ts";
import { IpvsDataPlane } from "../dataplane/ipvs/dataplane.ts";
import { NftablesDataPlane } from "../dataplane/nftables/dataplane.ts";
import { NetworkNamespace } from "../linux/namespace.ts";
import type { History } from "../history/history.ts";
import type { Planner } from "../plan/planner.ts";
import type { Agent } from "./agent.ts";
import { renderingOptions } from "./options.ts";

/** What the API shows besides the agent itself. */
export interface StateParts {
  readonly agent: Agent;
  /** The agent's. */
  readonly planner: Planner;
  /** The cluster that is followed, where its control plane is at hand. */
  readonly simulated?: SimulatedCluster;
  readonly config: Config;
  /** Whether this node's traffic is forwarded, or only queries are answered. */
  readonly programming: boolean;
  readonly events: EventHub;
  readonly history: History;
}

/** The agent's state as the API reads it. */
export function apiState(parts: StateParts): ApiState {
  const { agent, planner, simulated, config, programming, events, history } = parts;
  return {
    mode: agent.dataPlane.mode,
    families: config.families,
    ...renderingOptions(config),
    node: nodeView(agent.dataPlane),
    programming,
    engine: agent.dataPlane.engine,
    serviceNetworks: config.serviceClusterIPRanges,
    plan: () => agent.plan,
    fork: () => planner.fork(),
    simulated,
    revision: () => agent.revision,
    syncing: () => agent.syncing,
    problems: () => agent.problems,
    health: () => agent.health.report(),
    events,
    history,
  };
}

function nodeView(dataPlane: DataPlane): NodeView {
  const differences = dataPlane.differences?.bind(dataPlane);
  if (dataPlane instanceof IptablesDataPlane) {
    return { differences, iptables: dataPlane, connections: connectionsOf(dataPlane) };
  }
  if (dataPlane instanceof IpvsDataPlane) {
    return { differences, ipvs: dataPlane, connections: connectionsOf(dataPlane) };
  }
  if (dataPlane instanceof NftablesDataPlane) {
    return { differences, nftables: dataPlane, connections: connectionsOf(dataPlane) };
  }
  return { differences };
}

/** The connections of the kernel that a data plane programs. */
function connectionsOf(
  dataPlane: { inside<T>(fn: () => T): T },
): NonNullable<NodeView["connections"]> {
  const reader = new ConnectionReader(() => dataPlane.inside(() => NetworkNamespace.current()));
  return (filter, after) => reader.read(filter, after);
}
