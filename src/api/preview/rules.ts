/**
 * What a change of the plan would change of a mode's rules.
 *
 * @module
 */

import { Breath } from "../../cluster/manifests/breath.ts";
import { render, renderChange, type RenderProblem } from "../../dataplane/iptables/render.ts";
import type { RuleOptions } from "../../dataplane/iptables/options.ts";
import { type Fragment, type RuleSet, TABLES } from "../../dataplane/iptables/rules.ts";
import { chainLine, ruleLine } from "../../dataplane/iptables/text.ts";
import { diffServices } from "../../dataplane/iptables/transaction.ts";
import { transactionText } from "../../dataplane/iptables/transaction_text.ts";
import type { IpvsOptions } from "../../dataplane/ipvs/options.ts";
import { DesiredState } from "../../dataplane/ipvs/desired.ts";
import { diffStates } from "../../dataplane/ipvs/diff.ts";
import { changeLines } from "../../dataplane/ipvs/sent.ts";
import { MASQUERADE_PORTS, render as renderRouting } from "../../dataplane/userspace/render.ts";
import { routingChange } from "../../dataplane/userspace/structure.ts";
import type { Family } from "../../net/address.ts";
import type { Plan, PlanChange } from "../../plan/plan.ts";
import type { Forecast } from "./forecast.ts";

/** Services that are rendered in one go. */
const BATCH = 50;

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

/** What iptables mode would change in a family, from the rules that it has. */
export function iptablesChange(
  { after, change }: Pick<Forecast, "after" | "change">,
  previous: RuleSet,
  options: RuleOptions,
): RuleChange {
  const { family } = previous;
  const { rules, problems } = change.node === null
    ? renderChange(previous, after.node, change, options)
    : render(after, family, options);
  const touched = touchedBy(change) ??
    new Set([...previous.services.keys(), ...rules.services.keys()]);
  const parts: [Fragment | undefined, Fragment | undefined][] = [
    [previous.head, rules.head],
    ...[...touched].sort().map((key): [Fragment | undefined, Fragment | undefined] => [
      previous.services.get(key),
      rules.services.get(key),
    ]),
    [previous.tail, rules.tail],
  ];
  const changes = parts.map(([before, then]) => fragmentChange(before, then));
  return {
    family,
    added: changes.flatMap(({ added }) => added),
    removed: changes.flatMap(({ removed }) => removed),
    text: transactionText(diffServices(previous, rules, touched)) ?? "",
    problems: problems.map(({ service, message }) => `Service ${service}: ${message}`),
  };
}

/** Lines "nat :CHAIN …" and "nat -A CHAIN …"; another order of the same rules is no change. */
function fragmentChange(before: Fragment | undefined, after: Fragment | undefined): LineChange {
  if (before === after) return { added: [], removed: [] };
  const had = linesOf(before);
  const has = linesOf(after);
  return { added: without(has, had), removed: without(had, has) };
}

function linesOf(fragment: Fragment | undefined): string[] {
  if (fragment === undefined) return [];
  return TABLES.flatMap((table) => [
    ...fragment[table].chains.map((chain) => `${table} ${chainLine(chain)}`),
    ...fragment[table].rules.map(({ chain, spec }) => `${table} ${ruleLine("-A", chain, spec)}`),
  ]);
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

/** What ipvs mode would change in a family: of addresses, sets, virtual servers and rules. */
export async function ipvsChange(
  { before, after, change }: Pick<Forecast, "before" | "after" | "change">,
  family: Family,
  options: IpvsOptions,
): Promise<RuleChange> {
  const former = (await desiredState(before, family, options)).desired;
  const next = change.node === null ? null : await desiredState(after, family, options);
  const { change: step, problems } = next === null
    ? former.apply(change)
    : { change: diffStates(former.state, next.desired.state), problems: next.problems };
  return {
    family,
    ...changeLines(step, family),
    text: null,
    problems: problems.map(({ service, message }) => `Service ${service}: ${message}`),
  };
}

/** The state for a plan, made some Services at a time, so that syncs need not wait for all. */
async function desiredState(
  plan: Plan,
  family: Family,
  options: IpvsOptions,
): Promise<{ readonly desired: DesiredState; readonly problems: readonly RenderProblem[] }> {
  const { desired } = DesiredState.of({ ...plan, services: new Map() }, family, options);
  const services = [...plan.services.values()];
  const problems: RenderProblem[] = [];
  const breath = new Breath();
  for (let from = 0; from < services.length; from += BATCH) {
    const updated = services.slice(from, from + BATCH);
    problems.push(...desired.apply({ updated, removed: [] }).problems);
    await breath.take();
  }
  return { desired, problems };
}

/** The Services that a change touches; null: all. */
export function touchedBy({ node, updated, removed }: PlanChange): ReadonlySet<string> | null {
  if (node !== null) return null;
  return new Set([...updated.map((one) => `${one.namespace}/${one.name}`), ...removed]);
}

/** A plan of these Services alone. */
export function planOf(plan: Plan, keys: ReadonlySet<string> | null): Plan {
  if (keys === null) return plan;
  const services = [...keys].flatMap((key) => {
    const service = plan.services.get(key);
    return service === undefined ? [] : [[key, service] as const];
  });
  return { ...plan, services: new Map(services) };
}

/**
 * What iptables mode would change in a family where it is not the mode that runs: from what it would
 * have for the plan. There is no text, as nothing would be sent.
 */
export function iptablesChangeOfPlan(
  forecast: Pick<Forecast, "before" | "after" | "change">,
  family: Family,
  options: RuleOptions,
): RuleChange {
  const touched = touchedBy(forecast.change);
  const { rules } = render(planOf(forecast.before, touched), family, options);
  return { ...iptablesChange(forecast, rules, options), text: null };
}

/** What userspace mode would change of the node's routing. */
export function userspaceChange({ before, after }: Pick<Forecast, "before" | "after">): RuleChange {
  const from = renderRouting(before, MASQUERADE_PORTS);
  const to = renderRouting(after, MASQUERADE_PORTS);
  return { family: null, ...routingChange(from, to), text: null, problems: [] };
}
