/**
 * The routing of userspace mode that does not depend on any plan: whether a node has it.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import { TABLE_LOCAL } from "../../netlink/route/names.ts";
import type { Rtnetlink } from "../../netlink/route/rtnetlink.ts";
import type { Difference } from "../dataplane.ts";
import { CAPTURE_TABLE, isOwnRule, looksUp, PRIORITY, SERVICE_TABLE } from "./own.ts";

/**
 * What this thread's namespace has otherwise than a running proxy keeps it: the policy rules that
 * lead to the tables, and the way out of the second one. Throws NetlinkError.
 */
export function foundationDifferences(
  net: Pick<Rtnetlink, "routes" | "rules">,
  families: readonly Family[],
): Difference[] {
  return families.flatMap((family) => {
    const way = net.routes.list({ table: CAPTURE_TABLE, family }).length > 0
      ? []
      : [difference("missing", `${family} table ${CAPTURE_TABLE}: a route to the device`)];
    return [...ruleDifferences(net, family), ...way];
  });
}

/** The part of {@link foundationDifferences} that does not take reading all routes. */
export function ruleDifferences(net: Pick<Rtnetlink, "rules">, family: Family): Difference[] {
  const rules = net.rules.list({ family });
  const own = (priority: number) =>
    rules.some((rule) => rule.priority === priority && isOwnRule(rule));
  const expected: readonly [boolean, string][] = [
    [
      own(PRIORITY.fromDevice),
      `rule ${PRIORITY.fromDevice}: from the device, go to ${PRIORITY.local}`,
    ],
    [
      own(PRIORITY.services),
      `rule ${PRIORITY.services}: look up ${SERVICE_TABLE}`,
    ],
    [own(PRIORITY.local), `rule ${PRIORITY.local}: look up local`],
  ];
  const missing = expected.filter(([there]) => !there)
    .map(([, what]) => difference("missing", `${family} ${what}`));
  // Before the captured ports, it keeps packets to the node's own addresses from the engine.
  const first = rules.some((rule) => rule.priority === 0 && looksUp(rule, TABLE_LOCAL));
  return first
    ? [...missing, difference("unexpected", `${family} rule 0: look up local`)]
    : missing;
}

function difference(problem: "missing" | "unexpected", line: string): Difference {
  const [found, expected] = problem === "missing" ? [[], [line]] : [[line], []];
  return { where: line, problem, found, expected };
}
