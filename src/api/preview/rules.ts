/**
 * What a change of the plan would change of a mode's rules, whatever the mode.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import { type Plan, type PlanChange, touchedServices } from "../../plan/plan.ts";
import type { Forecast } from "./forecast.ts";

/** What a change of rules comes of. */
export type RuleForecast = Pick<Forecast, "before" | "after" | "change">;

/** Lines that come and go. */
export interface LineChange {
  readonly added: readonly string[];
  readonly removed: readonly string[];
}

/** What would change of a mode's rules. */
export interface RuleChange extends LineChange {
  /** Null: rules of both families together. */
  readonly family: Family | null;
  /** What would be sent to iptables-restore --noflush or nft -f; null in modes without such a text. */
  readonly text: string | null;
  /** What of the plan the rules would not have, one line each. */
  readonly problems: readonly string[];
}

/** The lines that are more often in the one list than in the other. */
export function without(lines: readonly string[], others: readonly string[]): string[] {
  const left = new Map<string, number>();
  for (const line of others) left.set(line, (left.get(line) ?? 0) + 1);
  return lines.filter((line) => {
    const count = left.get(line) ?? 0;
    if (count > 0) left.set(line, count - 1);
    return count === 0;
  });
}

/** The Services that a change touches; null: all. */
export function touchedBy(change: PlanChange): ReadonlySet<string> | null {
  if (change.node !== null) return null;
  return touchedServices(change);
}

/** A plan of these Services alone; null: of all. */
function planOf(plan: Plan, keys: ReadonlySet<string> | null): Plan {
  if (keys === null) return plan;
  const services = [...keys].flatMap((key) => {
    const service = plan.services.get(key);
    return service === undefined ? [] : [[key, service] as const];
  });
  return { ...plan, services: new Map(services) };
}

/**
 * What a mode would change in a family where it is not the mode that runs: from what it would have
 * for the plan. There is no text, as nothing would be sent.
 *
 * @param change what it would change from the rules that it has
 */
export function changeOfPlan<Rules, Options>(
  render: (plan: Plan, family: Family, options: Options) => { readonly rules: Rules },
  change: (forecast: RuleForecast, previous: Rules, options: Options) => RuleChange,
): (forecast: RuleForecast, family: Family, options: Options) => RuleChange {
  return (forecast, family, options) => {
    const plan = planOf(forecast.before, touchedBy(forecast.change));
    return { ...change(forecast, render(plan, family, options).rules, options), text: null };
  };
}
