/** A proxy of real parts, without a node: planner, engine, and the rules that would be programmed. */

import { EventHub } from "../../src/api/events/hub.ts";
import { History } from "../../src/history/history.ts";
import type { ApiState, HealthReport, NodeView } from "../../src/api/state.ts";
import type { ClusterObject } from "../../src/cluster/objects.ts";
import type { SimulatedCluster } from "../../src/cluster/source.ts";
import type { ProxyMode } from "../../src/dataplane/dataplane.ts";
import { DEFAULT_RULE_OPTIONS } from "../../src/dataplane/iptables/options.ts";
import { LocalEngine } from "../../src/engine/local.ts";
import { FAMILIES } from "../../src/net/address.ts";
import type { PlanChange } from "../../src/plan/plan.ts";
import type { Planner } from "../../src/plan/planner.ts";
import { buildPacket, type PacketSpec } from "../engine/packets.ts";
import { testPlanner } from "../dataplane/iptables/plans.ts";

export class RealState implements ApiState {
  readonly families = FAMILIES;
  readonly ruleOptions = DEFAULT_RULE_OPTIONS;
  readonly events = new EventHub();
  readonly history = new History();
  readonly serviceNetworks = ["10.0.0.0/16", "fd00:10:96::/112"];
  readonly engine: LocalEngine;
  readonly planner: Planner = testPlanner();
  node: NodeView = {};
  simulated?: SimulatedCluster;
  #revision = 0;

  constructor(
    readonly mode: ProxyMode,
    readonly programming = false,
    engine: Parameters<typeof LocalEngine.create>[0] = {},
  ) {
    this.engine = LocalEngine.create({ seed: 1n, ...engine });
  }

  /** Plans objects, and tells the engine unless it is to be left behind. */
  async apply(
    objects: readonly ClusterObject[],
    options: { readonly action?: "apply" | "delete"; readonly engine?: boolean } = {},
  ): Promise<PlanChange> {
    const { action = "apply", engine = true } = options;
    const changes = objects.map((object) => ({ action, object }));
    const change = this.planner.update(changes);
    this.#revision++;
    const outcome = { timeMs: Date.now(), durationMs: 1, ok: true, error: null, sent: [] };
    this.history.record({ ...outcome, change, changes });
    if (engine) await this.engine.apply(change);
    return change;
  }

  /** Sends a packet through the engine. */
  send(packet: PacketSpec): void {
    const { engine } = this.engine;
    const bytes = buildPacket(packet);
    engine.slotBytes(0).set(bytes);
    engine.setLength(0, bytes.length);
    engine.process(0, 1, Math.floor(performance.now()));
  }

  plan() {
    return this.planner.plan;
  }
  fork() {
    return this.planner.fork();
  }
  revision() {
    return this.#revision;
  }
  problems() {
    return [];
  }
  health(): HealthReport {
    return { healthy: true, nodeEligible: true, currentTime: 2000, lastUpdated: 2000, status: [] };
  }
}

/** A Service with a cluster IP alone, which begins without endpoints. */
export function plain(name: string, clusterIP: string): ClusterObject {
  return {
    kind: "Service",
    metadata: { name, namespace: "default" },
    spec: { type: "ClusterIP", clusterIP, ports: [{ name: "http", protocol: "TCP", port: 80 }] },
  };
}

/** Service default/web: every kind of frontend, and three endpoints, the first on this node. */
export function web(): ClusterObject[] {
  return [
    {
      kind: "Service",
      metadata: { name: "web", namespace: "default" },
      spec: {
        type: "LoadBalancer",
        clusterIP: "10.0.1.175",
        externalIPs: ["198.51.100.7"],
        loadBalancerSourceRanges: ["203.0.113.0/24"],
        ports: [{ name: "http", protocol: "TCP", port: 80, nodePort: 30080 }],
      },
      status: { loadBalancer: { ingress: [{ ip: "198.51.100.8" }] } },
    },
    slice("web", ["10.180.0.1", "10.180.0.2", "10.180.0.3"]),
  ];
}

/** The endpoints of a Service's port "http", the first on this node. */
export function slice(service: string, addresses: readonly string[]): ClusterObject {
  return {
    kind: "EndpointSlice",
    metadata: {
      name: service,
      namespace: "default",
      labels: { "kubernetes.io/service-name": service },
    },
    addressType: "IPv4",
    endpoints: addresses.map((address, i) => ({
      addresses: [address],
      nodeName: i === 0 ? "node1" : "node2",
      targetRef: { kind: "Pod", namespace: "default", name: `${service}-${i}` },
    })),
    ports: [{ name: "http", protocol: "TCP", port: 8080 }],
  };
}
