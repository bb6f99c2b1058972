/**
 * What one Service contributes to the rules, without holding it.
 *
 * The rules of 100,000 endpoints take hundreds of megabytes as data, and nearly none of them is
 * looked at again. Plans don't change and rendering is pure: what is asked for is rendered again.
 *
 * @module
 */

import type { ServicePlan } from "../../plan/plan.ts";
import type { NftablesContext } from "./options.ts";
import { renderService } from "./render_service.ts";
import type { Fragment, ServiceParts } from "./rules.ts";

/** Rules of one Service. */
export class ServiceFragment implements Fragment {
  readonly #service: ServicePlan;
  readonly #context: NftablesContext;

  private constructor(service: ServicePlan, context: NftablesContext) {
    this.#service = service;
    this.#context = context;
  }

  /** Of a Service that is no problem to render; null when it has no port in the family. */
  static of(service: ServicePlan, context: NftablesContext): ServiceFragment | null {
    const { family } = context;
    return service.ports.some((port) => port.family === family)
      ? new ServiceFragment(service, context)
      : null;
  }

  hasClusterIP(address: string): boolean {
    const { family } = this.#context;
    return this.#service.ports.some((port) =>
      port.family === family &&
      port.frontends.some((one) => one.kind === "ClusterIP" && one.address === address)
    );
  }

  render(): ServiceParts {
    return renderService(this.#service, this.#context)!;
  }
}
