/**
 * Finds the frontend that a packet dials.
 *
 * @module
 */

import type { Protocol } from "../cluster/objects.ts";
import { familyOf } from "../net/address.ts";
import { frontendKey, nodePortKey } from "./frontends.ts";
import type { Frontend, Plan, PlanChange, ServicePlan, ServicePortPlan } from "./plan.ts";

/** A frontend and the Service port that it belongs to. */
export interface FrontendMatch {
  readonly port: ServicePortPlan;
  readonly frontend: Frontend;
}

/** Every frontend of a plan by what clients dial. */
export class FrontendIndex {
  readonly #matches = new Map<string, FrontendMatch>();
  readonly #keys = new Map<string, readonly string[]>();
  #nodePortAddresses: ReadonlySet<string>;

  /** Indexes a plan as it is now; {@link FrontendIndex.apply} follows it. */
  constructor(plan: Plan) {
    this.#nodePortAddresses = new Set(plan.node.nodePortAddresses);
    for (const service of plan.services.values()) this.#add(service);
  }

  /** Takes over what changed in the plan. */
  apply({ node, updated, removed }: PlanChange): void {
    if (node !== null) this.#nodePortAddresses = new Set(node.nodePortAddresses);
    // A frontend may pass from one Service to another: all leave before any takes its place.
    for (const key of removed) this.#remove(key);
    for (const service of updated) this.#remove(`${service.namespace}/${service.name}`);
    for (const service of updated) this.#add(service);
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
    const keys: string[] = [];
    for (const port of service.ports) {
      for (const frontend of port.frontends) {
        const key = frontend.address === null
          ? nodePortKey(port.family, frontend.port, port.protocol)
          : frontendKey(frontend.address, frontend.port, port.protocol);
        this.#matches.set(key, { port, frontend });
        keys.push(key);
      }
    }
    this.#keys.set(`${service.namespace}/${service.name}`, keys);
  }

  #remove(service: string): void {
    for (const key of this.#keys.get(service) ?? []) this.#matches.delete(key);
    this.#keys.delete(service);
  }
}
