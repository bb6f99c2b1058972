/** What a preview says is what then happens, for any cluster and any change of it. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { forecast } from "../../src/api/preview/forecast.ts";
import { iptablesChange, iptablesChangeOfPlan } from "../../src/api/preview/iptables_rules.ts";
import { ipvsChange } from "../../src/api/preview/ipvs_rules.ts";
import type { RuleChange } from "../../src/api/preview/rules.ts";
import { userspaceChange } from "../../src/api/preview/userspace_rules.ts";
import { DEFAULT_RULE_OPTIONS } from "../../src/dataplane/iptables/options.ts";
import { render } from "../../src/dataplane/iptables/render.ts";
import { ruleStructure } from "../../src/dataplane/iptables/structure.ts";
import { DEFAULT_IPVS_OPTIONS } from "../../src/dataplane/ipvs/options.ts";
import { render as renderIpvs } from "../../src/dataplane/ipvs/render.ts";
import { serverLines } from "../../src/dataplane/ipvs/text.ts";
import { MASQUERADE_PORTS, render as renderRouting } from "../../src/dataplane/userspace/render.ts";
import { routingText } from "../../src/dataplane/userspace/structure.ts";
import { FAMILIES, type Family } from "../../src/net/address.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { Planner } from "../../src/plan/planner.ts";
import { clusterChange, plannerConfig } from "../plan/arbitraries.ts";

/** A mode's rules for a plan, as a preview writes lines. */
type LinesOf = (plan: Plan) => string[];

const iptables = (family: Family): LinesOf => (plan) =>
  ruleStructure(render(plan, family, DEFAULT_RULE_OPTIONS).rules).tables.flatMap(
    ({ name: table, chains }) =>
      chains.flatMap(({ name, rules }) => [
        `${table} :${name}`,
        ...rules.map((rule) => `${table} -A ${name} ${rule}`.trimEnd()),
      ]),
  );

const ipvs = (family: Family): LinesOf => (plan) => {
  const { state } = renderIpvs(plan, family, DEFAULT_IPVS_OPTIONS);
  const tables = Object.entries(state.rules) as [string, ReadonlyMap<string, readonly string[]>][];
  return [
    ...[...state.addresses].map((address) => `address ${address}`),
    ...[...state.sets].flatMap(([name, { entries }]) =>
      entries.map((entry) => `set ${name} ${entry}`)
    ),
    ...[...state.servers.values()].flatMap((server) =>
      serverLines(server, family).map((line) => `server ${line}`)
    ),
    ...tables.flatMap(([table, chains]) =>
      [...chains].flatMap(([chain, specs]) => specs.map((spec) => `${table} -A ${chain} ${spec}`))
    ),
  ];
};

const userspace: LinesOf = (plan) =>
  routingText(renderRouting(plan, MASQUERADE_PORTS)).split("\n").filter((line) => line !== "");

/** Without counters of chains, and with what is there twice once, as addresses can be. */
function distinct(lines: readonly string[]): string[] {
  return [...new Set(lines.map((line) => line.replace(/^(\w+ :\S+) - .*/, "$1").trimEnd()))].sort();
}

function check(change: RuleChange, linesOf: LinesOf, before: Plan, after: Plan): void {
  const had = distinct(linesOf(before));
  const has = distinct(linesOf(after));
  const came = has.filter((line) => !had.includes(line));
  const went = had.filter((line) => !has.includes(line));
  const added = distinct(change.added);
  const removed = distinct(change.removed);
  assert.deepEqual(added, came);
  assert.deepEqual(removed, went);
}

const changes = fc.array(clusterChange, { maxLength: 10 });

Deno.test("the forecast is what an update does, and rules change by the lines that it tells", () => {
  return fc.assert(
    fc.asyncProperty(
      plannerConfig,
      fc.array(changes, { maxLength: 3 }),
      changes,
      async (config, past, next) => {
        const planner = new Planner(config);
        for (const one of [[], ...past]) planner.update(one);
        const { node, services } = planner.plan;
        const before: Plan = { node, services: new Map(services) };
        const future = forecast(planner.fork(), next);
        assert.deepEqual(new Map(planner.plan.services), before.services, "it was applied");
        const { updated, removed } = planner.update(next);
        const touched = [
          ...updated.map(({ namespace, name }) => `${namespace}/${name}`),
          ...removed,
        ];
        assert.deepEqual(future.services.map(({ service }) => service), touched.sort());
        for (const { service, change } of future.services) {
          assert.equal(before.services.has(service), change !== "added");
          assert.equal(planner.plan.services.has(service), change !== "removed");
        }
        assert.deepEqual(future.after.services, planner.plan.services);
        for (const family of FAMILIES) {
          const previous = render(before, family, DEFAULT_RULE_OPTIONS).rules;
          const options = DEFAULT_RULE_OPTIONS;
          const own = iptablesChange(future, previous, options);
          check(own, iptables(family), before, planner.plan);
          const { added } = iptablesChangeOfPlan(future, family, options);
          assert.deepEqual(distinct(added), distinct(own.added));
          check(
            await ipvsChange(future, family, DEFAULT_IPVS_OPTIONS),
            ipvs(family),
            before,
            planner.plan,
          );
        }
        check(userspaceChange(future), userspace, before, planner.plan);
      },
    ),
    { numRuns: 200 },
  );
});
