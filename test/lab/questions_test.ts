import assert from "node:assert/strict";
import type { Outcome } from "../../src/lab/probe.ts";
import { mismatch, type Question, questionsFor } from "../../src/lab/questions.ts";
import { type Asker, formatReport, report } from "../../src/lab/report.ts";
import { CLIENT, STRANGER } from "../../src/lab/topology.ts";
import type { Frontend, Route, ServicePlan, ServicePortPlan } from "../../src/plan/plan.ts";
import { readyBackend, serviceOf, servicePort } from "../plan/service_plan.ts";

const NODE = {
  name: "lab-node",
  addresses: ["192.168.50.10", "fd00:50::10"],
  nodePortAddresses: ["192.168.50.10", "fd00:50::10"],
  podNetworks: [],
};

const backend = (n: number) => readyBackend(`10.244.0.${n}`, 9376, { local: true });

const FORWARD: Route = { action: "forward", to: "cluster", masquerade: true };

function frontend(route: Route, rest: Partial<Frontend> = {}): Frontend {
  return {
    kind: "ClusterIP",
    address: "10.0.1.175",
    port: 80,
    routes: { pod: route, node: route, outside: route },
    sourceRanges: null,
    ...rest,
  };
}

function service(rest: Partial<ServicePortPlan>, more: Partial<ServicePlan> = {}): ServicePlan {
  const port = servicePort({
    cluster: [1, 2, 3].map(backend),
    hasEndpoints: true,
    frontends: [frontend(FORWARD)],
    ...rest,
  });
  return serviceOf([port], more);
}

const ask = (...services: ServicePlan[]) => questionsFor(services, NODE, [CLIENT, STRANGER]);

Deno.test("a frontend that forwards is asked in whole rounds over its backends", () => {
  for (const [backends, count] of [[1, 6], [2, 6], [3, 6], [4, 8], [5, 10], [15, 30], [16, 16]]) {
    const cluster = Array.from({ length: backends }, (_, i) => backend(i));
    const [question] = ask(service({ cluster }));
    assert.equal(question.count, count, `${backends} backends`);
    assert.equal(question.from, "client");
  }
});

Deno.test("a node port is asked on every node address of its family", () => {
  const nodePort = frontend(FORWARD, { kind: "NodePort", address: null, port: 30007 });
  const targets = (rest: Partial<ServicePortPlan>) =>
    ask(service({ frontends: [nodePort], ...rest })).map(({ target }) => target);
  assert.deepEqual(targets({}), [{ address: "192.168.50.10", port: 30007, protocol: "TCP" }]);
  assert.deepEqual(targets({ family: "IPv6", protocol: "UDP" }), [
    { address: "fd00:50::10", port: 30007, protocol: "UDP" },
  ]);
  assert.deepEqual(targets({ protocol: "SCTP" }), []);
});

Deno.test("source ranges are asked by those inside and those outside", () => {
  const balanced = frontend(FORWARD, {
    kind: "LoadBalancer",
    address: "203.0.113.10",
    sourceRanges: ["192.168.50.0/24"],
  });
  const questions = ask(service({ frontends: [balanced] }));
  assert.deepEqual(
    questions.map(({ from, count, expected }) => [from, count, expected.verdict]),
    [["client", 6, "answer"], ["stranger", 1, "timeout"]],
  );
});

Deno.test("reject and drop are expected as such", () => {
  const verdicts = ask(
    service({ frontends: [frontend({ action: "reject" })] }),
    service({ frontends: [frontend({ action: "drop" })] }),
  ).map(({ expected, count }) => [expected.verdict, count]);
  assert.deepEqual(verdicts, [["refused", 2], ["timeout", 1]]);
});

const nameAt = (address: string) => `pod-${address.split(".")[3]}`;
const answer = (pod: string): Outcome => ({ kind: "answer", pod, ms: 1 });
const refused: Outcome = { kind: "refused", ms: 0.42 };
const timeout: Outcome = { kind: "timeout", ms: 1500 };

Deno.test("outcomes are held against the plan", () => {
  const [question] = ask(service({}));
  assert.equal(mismatch(question, [answer("pod-1"), answer("pod-3")], nameAt), null);
  assert.match(mismatch(question, [answer("pod-4")], nameAt)!, /pod-4 is no backend/);
  assert.match(mismatch(question, [answer("pod-1"), refused], nameAt)!, /10\.244\.0\.2:9376/);
  const [sticky] = ask(service({ affinitySeconds: 10800 }));
  assert.equal(mismatch(sticky, [answer("pod-1"), answer("pod-1")], nameAt), null);
  assert.match(mismatch(sticky, [answer("pod-1"), answer("pod-2")], nameAt)!, /one pod/);
  const none: Question = { ...question, expected: { verdict: "refused" } };
  assert.equal(mismatch(none, [refused, refused], nameAt), null);
  assert.match(mismatch(none, [refused, timeout], nameAt)!, /refused at once/);
  const silent: Question = { ...question, expected: { verdict: "timeout" } };
  assert.equal(mismatch(silent, [timeout], nameAt), null);
  assert.match(mismatch(silent, [answer("pod-1")], nameAt)!, /silence/);
});

Deno.test("the report asks everything and marks what is not as planned", async () => {
  const services = [
    service({}),
    service({ service: "empty", frontends: [frontend({ action: "reject" })] }, { name: "empty" }),
    service({}, { name: "db", headless: true, ports: [] }),
    service({}, { name: "ext", type: "ExternalName", externalName: "example.org", ports: [] }),
  ];
  let turn = 0;
  const asker: Asker = {
    nameAt,
    probe: (_from, target, { count = 1 }) =>
      Promise.resolve(
        Array.from({ length: count }, () =>
          target.address === "10.0.1.175" && turn < 6 ? answer(`pod-${1 + turn++ % 3}`) : refused),
      ),
  };
  const good = await report(asker, services, NODE, [CLIENT], 120);
  assert.equal(good.problems, 0);
  assert.deepEqual(good.lines, [
    "SERVICE        KIND          FRONTEND       FROM    ASKED  ANSWERED BY",
    "default/web    ClusterIP     10.0.1.175:80  client  6      pod-1 2, pod-2 2, pod-3 2",
    "default/empty  ClusterIP     10.0.1.175:80  client  2      refused 2 within 0.4 ms",
    "default/db     headless      -              -       -      DNS gives the pods' own addresses",
    "default/ext    ExternalName  -              -       -      a DNS alias of example.org",
  ]);
  assert.deepEqual(good.rows[0], {
    service: "default/web",
    kind: "ClusterIP",
    address: "10.0.1.175",
    port: 80,
    protocol: "TCP",
    from: "client",
    asked: 6,
    answers: { "pod-1": 2, "pod-2": 2, "pod-3": 2 },
    refused: 0,
    silent: 0,
    failed: 0,
    problem: null,
  });
  const bad = await report(asker, services, NODE, [CLIENT], 120);
  assert.equal(bad.problems, 1);
  assert.match(bad.lines[1], /refused 6 within 0\.4 ms {2}! expected an answer from/);
});

Deno.test("silence and failures have words of their own", () => {
  const [question] = ask(service({}));
  const outcomes: Outcome[] = [
    timeout,
    { kind: "failed", message: "closed without an answer", ms: 1 },
    { kind: "failed", message: "closed without an answer", ms: 1 },
  ];
  const [, row] = formatReport([], [{ question, outcomes, problem: null }], 200);
  assert.match(row, /no answer 1 within 1\.5 s, failed 2 \(closed without an answer\)$/);
});
