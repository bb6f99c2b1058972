import assert from "node:assert/strict";
import { DEFAULT_RULE_OPTIONS } from "../../../src/dataplane/iptables/options.ts";
import { beginRendering, render } from "../../../src/dataplane/iptables/render.ts";
import { countRules, type RuleSet, TABLES } from "../../../src/dataplane/iptables/rules.ts";
import { restoreText } from "../../../src/dataplane/iptables/text.ts";
import type { Family } from "../../../src/net/address.ts";
import { objects } from "../objects.ts";
import { plannerOf } from "./plans.ts";

function released(family: Family): [whole: RuleSet, released: RuleSet] {
  const { plan } = plannerOf(Object.values(objects[family]).flat());
  const { arriving, rules } = beginRendering(plan, family, DEFAULT_RULE_OPTIONS);
  for (const fragment of arriving) fragment.release();
  return [render(plan, family, DEFAULT_RULE_OPTIONS).rules, rules];
}

Deno.test("rules that were let go of are rendered again, the same", () => {
  for (const family of ["IPv4", "IPv6"] as const) {
    const [whole, again] = released(family);
    assert.ok(whole.services.size > 10);
    assert.equal(restoreText(again), restoreText(whole));
    for (const [key, fragment] of whole.services) {
      const { filter, nat } = again.services.get(key)!;
      assert.deepEqual({ filter, nat }, { filter: fragment.filter, nat: fragment.nat });
    }
  }
});

Deno.test("rules are counted, and those in shared chains known, without rendering", () => {
  const [whole, again] = released("IPv4");
  for (const table of TABLES) {
    const rules = [...whole.services.values()].flatMap((part) => part[table].rules);
    const ofNode = whole.head[table].rules.length + whole.tail[table].rules.length;
    assert.equal(countRules(again, table), rules.length + ofNode);
    for (const [key, { shared }] of again.services) {
      assert.deepEqual(shared, whole.services.get(key)!.shared);
    }
  }
});
