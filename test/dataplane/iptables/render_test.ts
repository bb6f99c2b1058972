import assert from "node:assert/strict";
import fc from "fast-check";
import type { ClusterObject } from "../../../src/cluster/objects.ts";
import { DEFAULT_RULE_OPTIONS, ruleContext } from "../../../src/dataplane/iptables/options.ts";
import { render, renderChange } from "../../../src/dataplane/iptables/render.ts";
import { oneIn } from "../../../src/dataplane/iptables/render_service.ts";
import { unrenderable } from "../../../src/dataplane/iptables/renderable.ts";
import {
  collectChains,
  commentText,
  countRules,
  fragments,
  TABLES,
} from "../../../src/dataplane/iptables/rules.ts";
import { parseSave, splitWords } from "../../../src/dataplane/iptables/save_text.ts";
import { restoreText } from "../../../src/dataplane/iptables/text.ts";
import { type Plan, serviceKey, type ServicePlan } from "../../../src/plan/plan.ts";
import { readyBackend, serviceOf, servicePort } from "../../plan/service_plan.ts";
import { plannerOf, testPlanner } from "./plans.ts";

/** A ClusterIP Service with so many endpoints. */
function service(index: number, endpoints: number, namespace = "ns"): ClusterObject[] {
  const name = `svc${index}`;
  return [
    {
      kind: "Service",
      metadata: { name, namespace },
      spec: {
        type: "ClusterIP",
        clusterIP: `172.30.${index >> 8}.${index & 255}`,
        ports: [{ name: "", protocol: "TCP", port: 80 }],
      },
    },
    {
      kind: "EndpointSlice",
      metadata: { name, namespace, labels: { "kubernetes.io/service-name": name } },
      addressType: "IPv4",
      endpoints: Array.from({ length: endpoints }, (_, i) => ({
        addresses: [`10.180.${index}.${i + 1}`],
      })),
      ports: [{ name: "", protocol: "TCP", port: 9376 }],
    },
  ];
}

function rulesOf(plan: Plan) {
  return render(plan, "IPv4", DEFAULT_RULE_OPTIONS).rules;
}

Deno.test("the number of rules is kube-proxy's", () => {
  for (const [services, endpoints] of [[0, 0], [1, 0], [1, 1], [1, 10], [10, 0], [10, 10]]) {
    const objects = Array.from({ length: services }, (_, i) => service(i, endpoints)).flat();
    const rules = rulesOf(plannerOf(objects).plan);
    const perService = endpoints === 0 ? [1, 0] : [0, 2 + 3 * endpoints];
    assert.equal(countRules(rules, "filter"), 4 + services * perService[0]);
    assert.equal(countRules(rules, "nat"), 5 + services * perService[1]);
  }
});

Deno.test("probabilities have kube-proxy's digits", () => {
  assert.equal(oneIn(2), "0.5000000000");
  assert.equal(oneIn(3), "0.3333333333");
  assert.equal(oneIn(1000), "0.0010000000");
  assert.equal(oneIn(2048), "0.0004882812");
  assert.equal(oneIn(100000), "0.0000100000");
  assert.equal(oneIn(100001), "0.0000099999");
});

Deno.test("endpoints lose their comments in a large cluster only when they are rendered", () => {
  const planner = testPlanner();
  const update = (objects: readonly ClusterObject[]) =>
    planner.update(objects.map((object) => ({ action: "apply", object })));
  update([1, 2, 3, 4].flatMap((index) => service(index, 250)));
  const small = rulesOf(planner.plan);
  assert.match(restoreText(small), /"ns\/svc1 -> 10\.180\.1\.1:9376"/);

  const change = update(service(5, 1));
  const { rules } = renderChange(small, planner.plan.node, change, DEFAULT_RULE_OPTIONS);
  const text = restoreText(rules);
  assert.match(text, /"ns\/svc1 -> 10\.180\.1\.1:9376"/);
  assert.doesNotMatch(text, /"ns\/svc5 -> /);
  assert.match(text, /"ns\/svc5 cluster IP"/);
  assert.doesNotMatch(restoreText(rulesOf(planner.plan)), / -> /);
});

Deno.test("text of a partial sync has the shared chains whole and own chains of these only", () => {
  const rules = rulesOf(plannerOf([...service(1, 2), ...service(2, 2)]).plan);
  const text = restoreText(rules, {
    services: new Set(["ns/svc2"]),
    stale: ["KUBE-SEP-AAAAAAAAAAAAAAAA"],
  });
  assert.match(text, /-A KUBE-SERVICES .*"ns\/svc1 cluster IP"/);
  assert.doesNotMatch(text, /-A KUBE-SVC-\S+ .*ns\/svc1/);
  assert.doesNotMatch(text, /10\.180\.1\./);
  assert.match(text, /-A KUBE-SVC-\S+ .*ns\/svc2/);
  assert.match(text, /^:KUBE-SEP-A{16} - \[0:0\]$/m);
  const lines = text.split("\n");
  assert.ok(
    lines.indexOf("-X KUBE-SEP-AAAAAAAAAAAAAAAA") > lines.findIndex((l) => l.includes("svc2")),
  );
});

Deno.test("a change renders what a whole render would", () => {
  const size = fc.tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 0, max: 3 }));
  fc.assert(
    fc.property(fc.array(fc.array(size, { minLength: 1, maxLength: 3 })), (steps) => {
      const planner = testPlanner();
      planner.update([]);
      let rules = rulesOf(planner.plan);
      for (const step of steps) {
        const change = planner.update(
          step.flatMap(([index, count]) =>
            service(index, count).map((object) => ({
              action: (index + count) % 4 === 0 ? "delete" as const : "apply" as const,
              object,
            }))
          ),
        );
        rules = renderChange(rules, planner.plan.node, change, DEFAULT_RULE_OPTIONS).rules;
      }
      assert.equal(restoreText(rules), restoreText(rulesOf(planner.plan)));
    }),
    { numRuns: 50 },
  );
});

const frontendRoute = { action: "forward", to: "cluster", masquerade: true } as const;

/** A Service plan with names and values that no API server would have let through. */
function hostile(names: readonly string[], values: Partial<Values> = {}): ServicePlan {
  const { port, address, seconds, range } = {
    port: 80,
    address: "10.0.0.1",
    seconds: 60,
    range: "10.0.0.0/8",
    ...values,
  };
  const [namespace, name, portName] = names;
  const endpoints = [readyBackend(address, port, { local: true })];
  const routes = { pod: frontendRoute, node: frontendRoute, outside: frontendRoute };
  const planned = servicePort({
    namespace,
    service: name,
    portName,
    scheduler: "random",
    affinitySeconds: seconds,
    externalTrafficPolicy: "Local",
    cluster: endpoints,
    local: endpoints,
    endpoints,
    hasEndpoints: true,
    frontends: [
      { kind: "ClusterIP", address, port, routes, sourceRanges: null },
      { kind: "LoadBalancer", address: "1.2.3.4", port, routes, sourceRanges: [range] },
      { kind: "NodePort", address: null, port: 30001, routes, sourceRanges: null },
    ],
  });
  const more = { healthCheckNodePort: 30000, localReadyEndpoints: 1 };
  return serviceOf([planned], { type: "LoadBalancer", ...more });
}

interface Values {
  readonly port: number;
  readonly address: string;
  readonly seconds: number;
  readonly range: string;
}

function planOf(...services: ServicePlan[]): Plan {
  return {
    node: testPlanner().plan.node,
    services: new Map(services.map((service) => [serviceKey(service), service])),
  };
}

Deno.test("whatever names Services have, the text reads back as the same rules", () => {
  const name = fc.oneof(
    fc.string({ unit: "binary", maxLength: 400 }),
    fc.constantFrom(
      '"',
      "\\",
      'a"\nCOMMIT\n*nat\n-F\n"',
      "\0",
      "a b",
      "-j",
      "!",
      "\ud800",
      "é".repeat(200),
    ),
  );
  fc.assert(fc.property(fc.tuple(name, name, name), (names) => {
    const { rules } = render(planOf(hostile(names)), "IPv4", DEFAULT_RULE_OPTIONS);
    const tables = parseSave(restoreText(rules));
    assert.deepEqual(tables.map((table) => table.name), TABLES);
    for (const table of tables) {
      const expected = collectChains(fragments(rules), table.name as "filter" | "nat");
      assert.deepEqual([...table.chains.keys()], [...expected.keys()]);
      for (const [chain, specs] of expected) {
        const read = table.rules.filter((rule) => rule.chain === chain);
        assert.deepEqual(read.map((rule) => rule.tokens), specs.map((spec) => splitWords(spec)));
      }
      const comments = table.rules.flatMap(({ tokens }) => tokens[tokens.indexOf("--comment") + 1]);
      const bytes = comments.map((text) => new TextEncoder().encode(text).length);
      assert.ok(Math.max(...bytes) <= 255);
    }
  }));
});

Deno.test("comments keep what they can of a text", () => {
  assert.equal(commentText("ns/a:p -> [::1]:80"), "ns/a:p -> [::1]:80");
  assert.equal(commentText("a\nb\u0000\u007f"), "a?b??");
  assert.equal(commentText("é".repeat(200)), "é".repeat(127));
});

Deno.test("a Service with values that the kernel would refuse is left out, the others stay", () => {
  const good = hostile(["ns", "good", ""]);
  for (
    const [values, message] of [
      [{ port: 0 }, "ns/bad: port 0: expected 1 to 65535"],
      [{ port: 65536 }, "ns/bad: port 65536: expected 1 to 65535"],
      [{ port: 1.5 }, "ns/bad: port 1.5: expected 1 to 65535"],
      [{ address: "1.2.3.4 -j ACCEPT" }, 'address "1.2.3.4 -j ACCEPT": expected an IPv4 address'],
      [{ address: "::1" }, 'address "::1": expected an IPv4 address'],
      [{ seconds: 0 }, "affinity of 0 s: expected whole seconds"],
      [{ seconds: 2 ** 32 }, "affinity of 4294967296 s: expected whole seconds"],
      [{ range: "10.0.0.0/33" }, 'range "10.0.0.0/33": expected an IPv4 network'],
    ] as const
  ) {
    const bad = hostile(["ns", "bad", ""], values);
    assert.ok(unrenderable(bad)?.endsWith(message), `${unrenderable(bad)}`);
    const { rules, problems } = render(planOf(bad, good), "IPv4", DEFAULT_RULE_OPTIONS);
    assert.deepEqual([...rules.services.keys()], ["ns/good"]);
    assert.deepEqual(problems.map((problem) => problem.service), ["ns/bad"]);
    const changed = renderChange(
      rules,
      planOf().node,
      { updated: [bad], removed: [] },
      DEFAULT_RULE_OPTIONS,
    );
    assert.deepEqual(changed.problems, problems);
  }
});

Deno.test("options that no rule can be made from are refused", () => {
  const node = testPlanner().plan.node;
  const context = (options: Partial<typeof DEFAULT_RULE_OPTIONS>) => () =>
    ruleContext("IPv4", node, { ...DEFAULT_RULE_OPTIONS, ...options });
  assert.throws(context({ masqueradeBit: 32 }), /masquerade bit 32: expected 0 to 31/);
  assert.throws(
    context({ localDetection: { by: "bridge", name: "a b" } }),
    /interface "a b": expected a name/,
  );
  assert.throws(context({ nodePortAddresses: ["10.0.0.0/40"] }), /not a network: "10.0.0.0\/40"/);
});
