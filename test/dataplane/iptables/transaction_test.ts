import assert from "node:assert/strict";
import fc from "fast-check";
import type { ClusterObject } from "../../../src/cluster/objects.ts";
import { countLines, type TableDiff } from "../../../src/dataplane/iptables/diff.ts";
import { JUMPS } from "../../../src/dataplane/iptables/jumps.ts";
import { DEFAULT_RULE_OPTIONS } from "../../../src/dataplane/iptables/options.ts";
import { type NodeRules, readRules } from "../../../src/dataplane/iptables/read.ts";
import { render, renderChange } from "../../../src/dataplane/iptables/render.ts";
import type { RuleSet } from "../../../src/dataplane/iptables/rules.ts";
import { diffNode, diffServices } from "../../../src/dataplane/iptables/transaction.ts";
import {
  type TableChanges,
  transactionText,
} from "../../../src/dataplane/iptables/transaction_text.ts";
import type { Family } from "../../../src/net/address.ts";
import type { Plan } from "../../../src/plan/plan.ts";
import { objects } from "../objects.ts";
import { restore, savedText, type Tables } from "./interpreter.ts";
import { testPlanner } from "./plans.ts";

function emptyNode(): Tables {
  return new Map([
    ["filter", new Map([["INPUT", []], ["FORWARD", []], ["OUTPUT", []]])],
    ["nat", new Map([["PREROUTING", []], ["OUTPUT", []], ["POSTROUTING", []]])],
    ["mangle", new Map()],
  ]);
}

function read(tables: Tables, family: Family = "IPv4"): NodeRules {
  return readRules(savedText(tables), family);
}

function apply(tables: Tables, changes: readonly (TableChanges | TableDiff)[]): number {
  const diffs = changes.flatMap((change) =>
    "parts" in change ? [...change.parts].filter((part) => part !== null) : [change]
  );
  const text = transactionText(diffs);
  if (text === null) return 0;
  restore(tables, text);
  return diffs.reduce((sum, diff) => sum + countLines(diff), 0);
}

function rulesOf(plan: Plan, family: Family = "IPv4"): RuleSet {
  return render(plan, family, DEFAULT_RULE_OPTIONS).rules;
}

function contents(tables: Tables) {
  return [...tables].map(([table, chains]) =>
    [table, [...chains].sort(([a], [b]) => a < b ? -1 : 1)] as const
  );
}

/** A ClusterIP Service with these last numbers of endpoint addresses. */
function service(index: number, endpoints: readonly number[]): ClusterObject[] {
  const metadata = { name: `svc-${String(index).padStart(5, "0")}`, namespace: "ns" };
  return [
    {
      kind: "Service",
      metadata,
      spec: {
        type: "ClusterIP",
        clusterIP: `172.30.${index >> 8}.${index & 255}`,
        ports: [{ name: "", protocol: "TCP", port: 80 }],
      },
    },
    {
      kind: "EndpointSlice",
      metadata: { ...metadata, labels: { "kubernetes.io/service-name": metadata.name } },
      addressType: "IPv4",
      endpoints: endpoints.map((last) => ({
        addresses: [`10.${index >> 8}.${index & 255}.${last}`],
      })),
      ports: [{ name: "", protocol: "TCP", port: 9376 }],
    },
  ];
}

Deno.test("an empty node gets all rules, jumps in kube-proxy's order, and canaries", () => {
  for (const family of ["IPv4", "IPv6"] as const) {
    const planner = testPlanner();
    planner.update(
      Object.values(objects[family]).flat().map((object) => ({ action: "apply", object })),
    );
    const node = emptyNode();
    apply(node, diffNode(read(node, family), rulesOf(planner.plan, family)));
    for (const [table, chains] of [...node]) {
      assert.deepEqual(chains.get("KUBE-PROXY-CANARY"), []);
      for (const chain of ["INPUT", "FORWARD", "OUTPUT", "PREROUTING", "POSTROUTING"]) {
        const jumps = JUMPS.filter((jump) => jump.table === table && jump.chain === chain);
        assert.deepEqual(chains.get(chain) ?? [], jumps.map((jump) => jump.spec).reverse());
      }
    }
    assert.deepEqual(
      node.get("filter")!.get("KUBE-FIREWALL")?.length,
      family === "IPv4" ? 1 : 0,
    );
    assert.equal(apply(node, diffNode(read(node, family), rulesOf(planner.plan, family))), 0);
  }
});

Deno.test("what others put into their chains and the kubelet's stays", () => {
  const node = emptyNode();
  node.get("filter")!.set("INPUT", ["-i foreign -j ACCEPT"]);
  node.get("filter")!.set("KUBE-FIREWALL", ["-m mark --mark 0x8000/0x8000 -j DROP"]);
  node.get("nat")!.set("CNI-1", ["-j RETURN"]);
  node.get("nat")!.set("KUBE-SVC-AAAAAAAAAAAAAAAA", ["-j KUBE-SEP-AAAAAAAAAAAAAAAA"]);
  node.get("nat")!.set("KUBE-SEP-AAAAAAAAAAAAAAAA", []);
  const rules = rulesOf(testPlanner().plan);
  apply(node, diffNode(read(node), rules));
  const filter = node.get("filter")!;
  assert.equal(filter.get("INPUT")!.at(-1), "-i foreign -j ACCEPT");
  assert.equal(filter.get("INPUT")!.length, 5);
  assert.equal(filter.get("KUBE-FIREWALL")![0], "-m mark --mark 0x8000/0x8000 -j DROP");
  assert.equal(filter.get("KUBE-FIREWALL")!.length, 2);
  assert.deepEqual(node.get("nat")!.get("CNI-1"), ["-j RETURN"]);
  assert.ok(!node.get("nat")!.has("KUBE-SVC-AAAAAAAAAAAAAAAA"));
  assert.ok(!node.get("nat")!.has("KUBE-SEP-AAAAAAAAAAAAAAAA"));
});

Deno.test("a change at 2,000 Services sends lines for that change only", () => {
  const planner = testPlanner();
  const update = (changed: readonly ClusterObject[], action: "apply" | "delete" = "apply") =>
    planner.update(changed.map((object) => ({ action, object })));
  update(Array.from({ length: 2000 }, (_, i) => service(i * 2, [1, 2, 3])).flat());
  const node = emptyNode();
  let rules = rulesOf(planner.plan);
  apply(node, diffNode(read(node), rules));

  const step = (changed: readonly ClusterObject[], action?: "apply" | "delete") => {
    const change = update(changed, action);
    const next = renderChange(rules, planner.plan.node, change, DEFAULT_RULE_OPTIONS).rules;
    const keys = [
      ...change.updated.map(({ namespace, name }) => `${namespace}/${name}`),
      ...change.removed,
    ];
    const lines = apply(node, diffServices(rules, next, keys));
    rules = next;
    return lines;
  };
  // A rule in KUBE-SERVICES; the line, masquerade rule and choices of the Service's chain; three
  // lines for each endpoint's.
  assert.equal(step(service(1001, [1, 2])), 1 + (2 + 2) + 2 * 3);
  assert.equal(step(service(1001, [1, 2, 3])), (2 + 3) + 3);
  assert.equal(step(service(1001, [1, 2, 3])), 0);
  // Refused in filter instead; four chains emptied and removed.
  assert.equal(step(service(1001, [])), 2 + 4 * 2);
  assert.equal(step(service(1001, []), "delete"), 1);
  assert.equal(apply(node, diffNode(read(node), rules)), 0);
});

Deno.test("changes one after the other leave a node as a clean start would", () => {
  const all = Object.values(objects.IPv4);
  const step = fc.array(fc.tuple(fc.nat({ max: all.length - 1 }), fc.boolean(), fc.boolean()), {
    minLength: 1,
    maxLength: 4,
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 8 }), (steps) => {
      const planner = testPlanner({ families: ["IPv4"] });
      planner.update([]);
      const node = emptyNode();
      let rules = rulesOf(planner.plan);
      apply(node, diffNode(read(node), rules));
      for (const changes of steps) {
        const change = planner.update(
          changes.flatMap(([index, present, withSlices]) =>
            all[index].filter(({ kind }) => withSlices || kind === "Service").map((object) => ({
              action: present ? "apply" as const : "delete" as const,
              object,
            }))
          ),
        );
        const next = renderChange(rules, planner.plan.node, change, DEFAULT_RULE_OPTIONS).rules;
        const keys = [
          ...change.updated.map(({ namespace, name }) => `${namespace}/${name}`),
          ...change.removed,
        ];
        apply(node, diffServices(rules, next, keys));
        rules = next;
      }
      const clean = emptyNode();
      apply(clean, diffNode(read(clean), rulesOf(planner.plan)));
      assert.deepEqual(contents(node), contents(clean));
    }),
    { numRuns: 60 },
  );
});

Deno.test("a node whose rules someone changed gets its own back", () => {
  const planner = testPlanner({ families: ["IPv4"] });
  planner.update(Object.values(objects.IPv4).flat().map((object) => ({ action: "apply", object })));
  const rules = rulesOf(planner.plan);
  const right = emptyNode();
  apply(right, diffNode(read(right), rules));
  const edit = fc.record({
    table: fc.constantFrom("filter", "nat"),
    chain: fc.nat(),
    rule: fc.nat(),
    what: fc.constantFrom("delete", "insert", "swap", "flush", "duplicate"),
  });
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 5 }), (edits) => {
      const node = structuredClone(right);
      for (const { table, chain, rule, what } of edits) {
        const own = [...node.get(table)!].filter(([name]) =>
          name.startsWith("KUBE-") && name !== "KUBE-FIREWALL"
        );
        const specs = own[chain % own.length][1];
        const at = specs.length === 0 ? 0 : rule % specs.length;
        if (what === "insert") specs.splice(at, 0, '-m comment --comment "an intruder" -j ACCEPT');
        else if (specs.length === 0) continue;
        else if (what === "delete") specs.splice(at, 1);
        else if (what === "flush") specs.length = 0;
        else if (what === "duplicate") specs.splice(at, 0, specs[at]);
        else [specs[0], specs[at]] = [specs[at], specs[0]];
      }
      apply(node, diffNode(read(node), rules));
      assert.deepEqual(contents(node), contents(right));
    }),
    { numRuns: 200 },
  );
});
