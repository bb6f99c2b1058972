/**
 * What one Service contributes to the rules, without holding all of it.
 *
 * The rules of 100,000 endpoints take fifty megabytes as text, and nearly none of them is looked at
 * again. Plans don't change and rendering is pure: what is in a Service's own chains is rendered again
 * when it is asked for.
 *
 * @module
 */

import type { ServicePlan } from "../../plan/plan.ts";
import type { RuleContext } from "./options.ts";
import { renderService } from "./render_service.ts";
import type { Fragment, TableFragment, TableName } from "./rules.ts";

/** Rules of one Service. */
export class ServiceFragment implements Fragment {
  readonly endpoints: number;
  readonly shared: Fragment["shared"];
  readonly size: Fragment["size"];
  readonly chainCount: Fragment["chainCount"];
  readonly #service: ServicePlan;
  readonly #context: RuleContext;
  readonly #endpointComments: boolean;
  /** Null once released. */
  #whole: Fragment | null;

  private constructor(
    service: ServicePlan,
    context: RuleContext,
    endpointComments: boolean,
    whole: Fragment,
  ) {
    this.endpoints = whole.endpoints;
    this.shared = whole.shared;
    this.size = whole.size;
    this.chainCount = whole.chainCount;
    this.#service = service;
    this.#context = context;
    this.#endpointComments = endpointComments;
    this.#whole = whole;
  }

  /** Renders a Service that is no problem to render; null when it has no port in the family. */
  static render(
    service: ServicePlan,
    context: RuleContext,
    options: { readonly endpointComments: boolean },
  ): ServiceFragment | null {
    const whole = renderService(service, context, options);
    if (whole === null) return null;
    return new ServiceFragment(service, context, options.endpointComments, whole);
  }

  get filter(): TableFragment {
    return this.#table("filter");
  }

  get nat(): TableFragment {
    return this.#table("nat");
  }

  /** Lets go of what can be rendered again. */
  release(): void {
    this.#whole = null;
  }

  #table(name: TableName): TableFragment {
    if (this.#whole !== null) return this.#whole[name];
    const shared = this.shared[name];
    // A Service's own chains all have rules.
    if (shared.length === this.size[name]) return { chains: [], rules: shared };
    const options = { endpointComments: this.#endpointComments };
    return renderService(this.#service, this.#context, options)![name];
  }
}
