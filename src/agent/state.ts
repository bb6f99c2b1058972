/**
 * The agent as the HTTP API sees it.
 *
 * @module
 */

import type { EventHub } from "../api/events/hub.ts";
import type { ApiState, NodeView } from "../api/state.ts";
import type { Config } from "../config/config.ts";
import type { DataPlane } from "../dataplane/dataplane.ts";
import { IptablesDataPlane } from "../dataplane/iptables/dataplane.ts";
import { Conntrack } from "../netlink/netfilter/conntrack.ts";
import type { Agent } from "./agent.ts";
import { ruleOptions } from "./options.ts";

/** @param programming whether this node's traffic is forwarded, or only queries are answered. */
export function apiState(
  agent: Agent,
  config: Config,
  programming: boolean,
  events: EventHub,
): ApiState {
  return {
    mode: agent.dataPlane.mode,
    families: config.families,
    ruleOptions: ruleOptions(config),
    node: nodeView(agent.dataPlane),
    programming,
    engine: agent.dataPlane.engine,
    plan: () => agent.plan,
    revision: () => agent.revision,
    problems: () => agent.problems,
    health: () => agent.health.report(),
    events,
  };
}

function nodeView(dataPlane: DataPlane): NodeView {
  const differences = dataPlane.differences?.bind(dataPlane);
  if (!(dataPlane instanceof IptablesDataPlane)) return { differences };
  return {
    differences,
    iptables: dataPlane,
    connections(filter) {
      return new Promise((resolve) => {
        using conntrack = dataPlane.inside(() => Conntrack.open());
        resolve(conntrack.list(filter));
      });
    },
  };
}
