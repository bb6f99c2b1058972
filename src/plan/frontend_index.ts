/**
 * Finds the frontend that a packet dials.
 *
 * @module
 */

import type { Protocol } from "../cluster/objects.ts";
import { familyOf } from "../net/address.ts";
import { frontendKey, nodePortKey } from "./frontends.ts";
import {
  type Frontend,
  type NodeInfo,
  type Plan,
  type PlanChange,
  serviceKey,
  type ServicePlan,
  type ServicePortPlan,
} from "./plan.ts";

/** A frontend and the Service port that it belongs to. */
export interface FrontendMatch {
  readonly port: ServicePortPlan;
  readonly frontend: Frontend;
}

/** Every frontend of a plan by what clients dial. */
export class FrontendIndex {
  readonly #matches = new Map<string, FrontendMatch>();
  /** By "namespace/name". */
  readonly #services = new Map<string, IndexedService>();
  #node: NodeInfo;
  #nodePortAddresses: ReadonlySet<string>;

  /** Indexes a plan as it is now; {@link apply} or {@link follow} keep up with it. */
  constructor(plan: Plan) {
    this.#node = plan.node;
    this.#nodePortAddresses = new Set(plan.node.nodePortAddresses);
    for (const service of plan.services.values()) this.#add(service);
  }

  /** Takes over what changed in the plan. */
  apply({ node, updated, removed }: PlanChange): void {
    if (node !== null) {
      this.#node = node;
      this.#nodePortAddresses = new Set(node.nodePortAddresses);
    }
    // A frontend may pass from one Service to another: all leave before any takes its place.
    for (const key of removed) this.#remove(key);
    for (const service of updated) this.#remove(serviceKey(service));
    for (const service of updated) this.#add(service);
  }

  /** Takes over the same from the plan itself: what is another object has changed. */
  follow({ node, services }: Plan): void {
    const updated: ServicePlan[] = [];
    for (const [key, service] of services) {
      if (this.#services.get(key)?.service !== service) updated.push(service);
    }
    const removed = [...this.#services.keys()].filter((key) => !services.has(key));
    this.apply({ node: node === this.#node ? null : node, updated, removed });
  }

  /**
   * The frontend at a canonical address. One that has the address for itself comes before a node
   * port, which is on every address of the node.
   */
  find(address: string, port: number, protocol: Protocol): FrontendMatch | null {
    const exact = this.#matches.get(frontendKey(address, port, protocol));
    if (exact !== undefined) return exact;
    if (!this.#nodePortAddresses.has(address)) return null;
    return this.#matches.get(nodePortKey(familyOf(address), port, protocol)) ?? null;
  }

  #add(service: ServicePlan): void {
    const frontends: string[] = [];
    for (const port of service.ports) {
      for (const frontend of port.frontends) {
        const key = frontend.address === null
          ? nodePortKey(port.family, frontend.port, port.protocol)
          : frontendKey(frontend.address, frontend.port, port.protocol);
        this.#matches.set(key, { port, frontend });
        frontends.push(key);
      }
    }
    this.#services.set(serviceKey(service), { service, frontends });
  }

  #remove(key: string): void {
    for (const frontend of this.#services.get(key)?.frontends ?? []) {
      this.#matches.delete(frontend);
    }
    this.#services.delete(key);
  }
}

/** A Service, and the keys of its frontends. */
interface IndexedService {
  readonly service: ServicePlan;
  readonly frontends: readonly string[];
}
