/**
 * Service ports whose traffic policy Local finds no endpoint on this node, under kube-proxy's name.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import type { Plan, ServicePortPlan } from "../../plan/plan.ts";
import { type FamilyLabel, type Gauge, gaugeIn, type Registry } from "./registry.ts";

const POLICIES = ["internal", "external"] as const;
type Policy = typeof POLICIES[number];

/** Counts them in a plan. */
export class LocalEndpointMetrics {
  readonly #families: readonly Family[];
  readonly #count: Gauge<FamilyLabel | "traffic_policy">;

  constructor(registry: Registry, families: readonly Family[]) {
    this.#families = families;
    this.#count = gaugeIn(registry)(
      "kubeproxy_sync_proxy_rules_no_local_endpoints_total",
      "Service ports of traffic policy Local without endpoints on this node",
      ["ip_family", "traffic_policy"],
    );
  }

  update(plan: Plan): void {
    const counts = new Map<string, number>();
    for (const { ports } of plan.services.values()) {
      for (const port of ports) {
        for (const policy of withoutLocal(port)) {
          const key = `${port.family} ${policy}`;
          counts.set(key, (counts.get(key) ?? 0) + 1);
        }
      }
    }
    for (const ip_family of this.#families) {
      for (const traffic_policy of POLICIES) {
        const count = counts.get(`${ip_family} ${traffic_policy}`) ?? 0;
        this.#count.set({ ip_family, traffic_policy }, count);
      }
    }
  }
}

/** The policies of a port that have somewhere to send traffic to, but not on this node. */
function withoutLocal(port: ServicePortPlan): Policy[] {
  if (!port.hasEndpoints || port.local.length > 0) return [];
  const external = port.frontends.some((frontend) => frontend.kind !== "ClusterIP");
  return [
    ...(port.internalTrafficPolicy === "Local" ? ["internal" as const] : []),
    ...(external && port.externalTrafficPolicy === "Local" ? ["external" as const] : []),
  ];
}
