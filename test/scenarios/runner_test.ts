import assert from "node:assert/strict";
import { type Expectation, parseScenario, ScenarioCluster } from "./format.ts";
import { compare, type FlowOutcome, loadScenarios } from "./runner.ts";

const FORWARDED: Expectation = {
  verdict: "FORWARD",
  backends: [
    { address: "10.0.0.1", port: 80, probability: 0.5 },
    { address: "10.0.0.2", port: 80, probability: 0.5 },
  ],
  masquerade: "hairpin",
  sticky: false,
};

/** What a driver would find: the second backend is the source. */
function outcome(changes: Partial<FlowOutcome["backends"][number]> = {}): FlowOutcome {
  const found = { port: 80, probability: 0.5, masquerade: false };
  return {
    verdict: "FORWARD",
    backends: [
      { ...found, address: "10.0.0.2", masquerade: true },
      { ...found, address: "10.0.0.1", ...changes },
    ],
    sticky: false,
  };
}

Deno.test("the comparison accepts what is expected, and what a driver cannot tell", () => {
  const flow = { from: "10.0.0.2" };
  compare(outcome(), FORWARDED, flow, 0);
  compare(outcome({ probability: 0.45 }), FORWARDED, flow, 0.06);
  compare(outcome({ probability: null, masquerade: null }), FORWARDED, flow, 0);
  compare({ ...outcome(), sticky: null }, FORWARDED, flow, 0);
});

Deno.test("the comparison refuses every single difference", () => {
  const wrong: [RegExp, FlowOutcome][] = [
    [/verdict/, { ...outcome(), verdict: "DROP" }],
    [/backends/, { ...outcome(), backends: outcome().backends.slice(1) }],
    [/backends/, { ...outcome(), backends: [...outcome().backends, outcome().backends[0]] }],
    [/backends/, outcome({ port: 81 })],
    [/backends/, outcome({ address: "10.0.0.3" })],
    [/probability of 10.0.0.1 80/, outcome({ probability: 0.4 })],
    [/masquerade on the way to 10.0.0.1 80/, outcome({ masquerade: true })],
    [/sticky/, { ...outcome(), sticky: true }],
  ];
  for (const [message, each] of wrong) {
    assert.throws(() => compare(each, FORWARDED, { from: "10.0.0.2" }, 0.05), message);
  }
  assert.throws(() => compare(outcome(), FORWARDED, { from: "10.0.0.1" }, 0), /masquerade/);
});

Deno.test("wrong scenarios are refused with file and field", () => {
  const file = (flow: string, step = "") => `
name: wrong
steps:
  - name: one
    ${step}
    flows:
      - { name: flow, from: pod, to: "10.0.0.1:80/TCP", expect: PASS, ${flow} }
`;
  const right = file("differs: {}");
  assert.equal(parseScenario(right, "right.yaml").steps[0].flows[0].from, "10.244.0.5");
  const wrong: [string, RegExp][] = [
    [right.replace("from: pod", "from: nowhere"), /expected an IP address/],
    [right.replace("80/TCP", "65536/TCP"), /expected ADDRESS:PORT\/PROTOCOL/],
    [right.replace("80/TCP", "80"), /expected ADDRESS:PORT\/PROTOCOL/],
    [right.replace("PASS", "ACCEPT"), /steps\[0\]\.flows\[0\]\.expect/],
    [right.replace("PASS", "{ backends: [], masquerade: false }"), /expect/],
    [right.replace("PASS", '{ backends: ["10.0.0.1:80"] }'), /expect/],
    [file("differs: { ipvs: no }"), /differs/],
    [file("unknown: 1"), /unknown/i],
    [file("differs: {}", "apply: [{ kind: Pod, metadata: { name: web } }]"), /apply\[0\]\.kind/],
    [
      file("differs: {}", "apply: [{ kind: Service, metadata: { name: web }, spec: 1 }]"),
      /apply\[0\]\.spec/,
    ],
    [file("differs: {}", "delete: [web]"), /delete\[0\]/],
  ];
  for (const [text, message] of wrong) {
    assert.throws(() => parseScenario(text, "wrong.yaml"), (error) => {
      assert.ok(error instanceof Error);
      assert.match(error.message, /^wrong\.yaml: /);
      assert.match(error.message, message);
      return true;
    });
  }
});

Deno.test("a step cannot delete what was never applied", () => {
  const { steps } = parseScenario(
    `{ name: n, steps: [{ name: s, delete: [Service web], flows: [${`{ name: f, from: pod, to: "10.0.0.1:80/TCP", expect: PASS }`}] }] }`,
    "n.yaml",
  );
  assert.throws(() => new ScenarioCluster().changes(steps[0]), /there is no Service web/);
});

Deno.test("the scenarios have distinct names, and flows of every verdict", () => {
  const scenarios = loadScenarios();
  assert.equal(new Set(scenarios.map(({ name }) => name)).size, scenarios.length);
  const flows = scenarios.flatMap(({ steps }) => steps).flatMap((step) =>
    step.flows.map((flow) => ({ id: `${step.name}: ${flow.name}`, ...flow }))
  );
  assert.ok(flows.length >= 45, `${flows.length} flows`);
  for (const verdict of ["FORWARD", "REJECT", "DROP", "PASS"]) {
    assert.ok(flows.some((flow) => flow.expect.verdict === verdict), verdict);
  }
});
