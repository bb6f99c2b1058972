/**
 * What a change of the plan would change of userspace mode's routing.
 *
 * @module
 */

import { MASQUERADE_PORTS, render } from "../../dataplane/userspace/render.ts";
import { routingChange } from "../../dataplane/userspace/structure.ts";
import type { RuleChange, RuleForecast } from "./rules.ts";

/** What userspace mode would change of the node's routing. */
export function userspaceChange(
  { before, after }: Pick<RuleForecast, "before" | "after">,
): RuleChange {
  const from = render(before, MASQUERADE_PORTS);
  const to = render(after, MASQUERADE_PORTS);
  return { family: null, ...routingChange(from, to), text: null, problems: [] };
}
