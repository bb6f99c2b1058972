import assert from "node:assert/strict";
import type { Node } from "../../../src/cluster/objects.ts";
import { ApiDouble } from "./api_double.ts";
import { FAST_LIMITS, rawNode, rawService, rawSlice, RunningSource } from "./helpers.ts";

const PROXY_NAME = "service.kubernetes.io/service-proxy-name";

Deno.test("The first batch is complete, in pages, and changes follow", async () => {
  await using api = new ApiDouble();
  for (let i = 0; i < 10; i++) api.put(rawService(`s${i}`), rawSlice(`e${i}`, [`10.0.0.${i + 1}`]));
  await using running = await RunningSource.on(api);
  await running.converged(api);
  assert.equal(running.batches.length, 1);
  assert.equal(running.batches[0].length, 20);
  assert.equal(api.requests.filter((one) => one === "page Service").length, 3);
  api.put(rawService("s10"));
  api.remove("Service", "default/s3");
  api.put(rawService("s4", { spec: { clusterIP: "10.96.0.9", ports: [{ port: 81 }] } }));
  await running.converged(api);
  assert.deepEqual(running.problems, []);
});

Deno.test("Lists and watches ask what kube-proxy's informers ask", async () => {
  await using api = new ApiDouble();
  await using running = await RunningSource.on(api, { nodeName: "n1" });
  await running.until(() => api.openWatches === 3);
  const asked = api.queries.map((query, i) => ({ request: api.requests[i], query }));
  const of = (request: string) => asked.find((one) => one.request === request)!.query;
  const selector = "!service.kubernetes.io/service-proxy-name,!service.kubernetes.io/headless";
  for (const kind of ["Service", "EndpointSlice"]) {
    assert.deepEqual(
      Object.fromEntries(of(`list ${kind}`)),
      { labelSelector: selector, limit: "3", resourceVersion: "0" },
    );
    const watch = of(`watch ${kind}`);
    assert.equal(watch.get("labelSelector"), selector);
    assert.equal(watch.get("allowWatchBookmarks"), "true");
    assert.equal(watch.get("resourceVersion"), "100");
    const seconds = Number(watch.get("timeoutSeconds"));
    assert(seconds >= 240 && seconds < 480, `${seconds}`);
  }
  assert.equal(of("list Node").get("fieldSelector"), "metadata.name=n1");
});

Deno.test("Nothing is told before both first lists are in", async () => {
  await using api = new ApiDouble();
  api.put(rawService("s0"), rawSlice("e0", ["10.0.0.1"]));
  for (let i = 0; i < 1000; i++) {
    api.faults.push({ on: "list", of: "EndpointSlice", fault: { kind: "status", status: 500 } });
  }
  await using running = await RunningSource.on(api);
  await running.until(() => api.openWatches === 1);
  // Changes meanwhile are part of the first batch, not of one before it.
  api.put(rawService("s1"));
  api.remove("Service", "default/s0");
  await running.until(() => running.problems.length === 1);
  assert.match(
    running.problems[0],
    /^\/apis\/discovery\.k8s\.io\/v1\/endpointslices: cannot list, trying again: status 500: Fault/,
  );
  assert.deepEqual(running.batches, []);
  api.faults.length = 0;
  api.faults.push({ on: "list", of: "EndpointSlice", fault: { kind: "hang" } });
  await running.until(() => api.faults.length === 0);
  assert.deepEqual(running.batches, []);
  await running.converged(api);
  assert.equal(running.batches.length, 1);
  assert.deepEqual(running.problems, []);
});

Deno.test("An empty cluster is told as such", async () => {
  await using api = new ApiDouble();
  await using running = await RunningSource.on(api);
  await running.until(() => running.batches.length === 1);
  assert.deepEqual(running.batches, [[]]);
});

Deno.test("Only this node is followed, and its labels as they change", async () => {
  await using api = new ApiDouble();
  api.put(rawNode("n1", { zone: "a" }), rawNode("n2"));
  await using running = await RunningSource.on(api, { nodeName: "n1" });
  await running.until(() => running.batches.length === 1);
  assert.deepEqual([...running.objects.keys()], ["Node n1"]);
  api.put(rawNode("n2", { zone: "b" }), rawNode("n1", { zone: "b" }));
  await running.until(() => running.objects.get("Node n1")?.metadata.labels?.zone === "b");
  assert.equal(running.objects.size, 1);
});

Deno.test("A node that may not be read holds nothing up for long", async () => {
  await using api = new ApiDouble();
  api.put(rawService("s0"), rawNode("n1"));
  for (let i = 0; i < 1000; i++) {
    api.faults.push({ on: "list", of: "Node", fault: { kind: "status", status: 403 } });
  }
  await using running = await RunningSource.on(api, { nodeName: "n1" });
  await running.until(() => running.batches.length === 1);
  assert.deepEqual([...running.objects.keys()], ["Service default/s0"]);
  assert.match(running.problems.join(), /^\/api\/v1\/nodes: cannot list, trying again: status 403/);
  api.faults.length = 0;
  await running.until(() => running.objects.has("Node n1"));
  assert.deepEqual(running.problems, []);
});

Deno.test("A Service given to another proxy is told as deleted, and comes back", async () => {
  await using api = new ApiDouble();
  api.put(rawService("s0"), rawService("s1"));
  await using running = await RunningSource.on(api);
  await running.converged(api);
  const metadata = { name: "s0", namespace: "default", labels: { [PROXY_NAME]: "" } };
  api.put(rawService("s0", { metadata }));
  await running.converged(api);
  assert.deepEqual([...running.objects.keys()], ["Service default/s1"]);
  api.put(rawService("s0"));
  await running.converged(api);
  assert.equal(running.objects.size, 2);
});

Deno.test("A broken object is a problem of its own; what it was before stays", async () => {
  await using api = new ApiDouble();
  const broken = { spec: { clusterIP: "10.96.0.1", ports: [{ port: 99999, protocol: "TCP" }] } };
  api.put(rawService("s0", broken), rawService("s1"), rawService("s2"));
  await using running = await RunningSource.on(api);
  await running.until(() => running.batches.length === 1);
  assert.deepEqual([...running.objects.keys()], ["Service default/s1", "Service default/s2"]);
  const problem = (name: string) =>
    `/api/v1/services: Service default/${name}: spec.ports[0].port: ` +
    "expected a whole number from 1 to 65535, found 99999";
  assert.deepEqual(running.problems, [problem("s0")]);
  api.put(rawService("s1", broken));
  await running.until(() => running.problems.length === 2);
  assert.deepEqual(running.problems, [problem("s0"), problem("s1")]);
  assert(running.objects.has("Service default/s1"));
  api.put(rawService("s0"));
  api.remove("Service", "default/s1");
  await running.converged(api);
  assert.deepEqual(running.problems, []);
});

Deno.test("A listener that throws ends the run with its error", async () => {
  await using api = new ApiDouble();
  await using running = await RunningSource.on(api);
  await running.until(() => running.batches.length === 1);
  running.objects.set = () => {
    throw new RangeError("a mistake");
  };
  api.put(rawService("s0"));
  await assert.rejects(running.done, /a mistake/);
  await running.stop().catch(() => {});
  assert.equal(running.objects.size, 0);
});

Deno.test("It can be stopped at any moment, also while the API hangs", async () => {
  await using api = new ApiDouble();
  // Nothing that hangs ends by itself while the test runs.
  const limits = { ...FAST_LIMITS, answerMs: 360_000_000, listIdleMs: 360_000_000 };
  for (const fault of [null, "hang" as const]) {
    if (fault !== null) api.faults.push({ on: "list", of: "Service", fault: { kind: fault } });
    for (const ms of [0, 1, 5, 20]) {
      await using running = await RunningSource.on(api, { limits });
      await new Promise((resolve) => setTimeout(resolve, ms));
      await running.stop();
    }
  }
});

Deno.test("10,000 objects are told in one batch, and once", async () => {
  await using api = new ApiDouble({ unpaged: true });
  const addresses = Array.from({ length: 10 }, (_, i) => `10.1.0.${i + 1}`);
  for (let i = 0; i < 5000; i++) api.put(rawService(`s${i}`), rawSlice(`e${i}`, addresses));
  await using running = await RunningSource.on(api);
  await running.converged(api);
  assert.equal(running.batches.length, 1);
  assert.equal(running.objects.size, 10_000);
});

const serviceCIDR = (name: string, ...cidrs: readonly string[]) => ({
  apiVersion: "networking.k8s.io/v1",
  kind: "ServiceCIDR",
  metadata: { name },
  spec: { cidrs },
});

Deno.test("ServiceCIDRs are followed", async () => {
  await using api = new ApiDouble();
  api.put(rawService("web"), serviceCIDR("kubernetes", "10.96.0.0/16", "fd00:10:96::/112"));
  await using running = await RunningSource.on(api, { serviceCIDRs: true });
  await running.until(() => running.batches.length > 0);
  assert.deepEqual([...running.objects.keys()].sort(), [
    "Service default/web",
    "ServiceCIDR kubernetes",
  ]);
  api.put(serviceCIDR("more", "10.97.0.0/16"));
  api.remove("ServiceCIDR", "kubernetes");
  await running.until(() => running.objects.has("ServiceCIDR more"));
  await running.until(() => !running.objects.has("ServiceCIDR kubernetes"));
});

Deno.test("A server without ServiceCIDRs, or one that hides them, is as good as any", async () => {
  for (const status of [403, 404]) {
    await using api = new ApiDouble();
    api.put(rawService("web"));
    api.faults.push({ on: "list", of: "ServiceCIDR", fault: { kind: "status", status } });
    await using running = await RunningSource.on(api, {
      serviceCIDRs: true,
      nodeGraceMs: 3_600_000,
    });
    await running.converged(api);
    assert.deepEqual(running.batches.map((batch) => batch.length), [1]);
    assert.deepEqual(running.problems, []);
    // It is upgraded.
    api.put(serviceCIDR("kubernetes", "10.96.0.0/16"));
    await running.until(() => running.objects.has("ServiceCIDR kubernetes"));
  }
});

/** What kube-proxy needs of the node. */
const hasAddresses = (node: Node) => (node.status?.addresses ?? []).length > 0;

Deno.test("The initial state waits for a node that says what is needed of it", async () => {
  await using api = new ApiDouble();
  api.put(rawService("web"), rawNode("node-a"));
  await using running = await RunningSource.on(api, {
    nodeName: "node-a",
    nodeGraceMs: 3_600_000,
    isNodeReady: hasAddresses,
  });
  await running.until(() => api.openWatches === 3);
  assert.equal(running.batches.length, 0);
  const addresses = [{ type: "InternalIP", address: "192.0.2.1" }];
  api.put({ ...rawNode("node-a"), status: { addresses } });
  await running.until(() => running.batches.length > 0);
  assert.equal(running.batches[0].length, 2);
});

Deno.test("A node that is deleted and comes again stays the machine that it is", async () => {
  await using api = new ApiDouble();
  const addresses = [{ type: "InternalIP", address: "192.0.2.1" }];
  const node = (zone: string, more: object = {}) => ({ ...rawNode("node-a", { zone }), ...more });
  api.put(node("a", { spec: { podCIDRs: ["10.1.0.0/24"] }, status: { addresses } }));
  await using running = await RunningSource.on(api, { nodeName: "node-a" });
  const known = () => {
    const object = running.objects.get("Node node-a");
    assert.ok(object?.kind === "Node");
    const { metadata, spec, status } = object;
    return [metadata.labels?.zone, spec?.podCIDRs?.[0], status?.addresses?.at(-1)?.address];
  };
  await running.until(() => running.objects.size > 0);
  api.remove("Node", "node-a");
  api.put(rawService("web"));
  await running.until(() => running.objects.has("Service default/web"));
  assert.deepEqual(known(), ["a", "10.1.0.0/24", "192.0.2.1"]);
  api.put(node("b", { status: { addresses: [{ type: "Hostname", address: "node-a" }] } }));
  await running.until(() => known()[0] === "b");
  assert.deepEqual(known(), ["b", "10.1.0.0/24", "192.0.2.1"]);
  const others = [{ type: "InternalIP", address: "192.0.2.9" }];
  api.put(node("c", { spec: { podCIDRs: ["10.9.0.0/24"] }, status: { addresses: others } }));
  await running.until(() => known()[0] === "c");
  assert.deepEqual(known(), ["c", "10.9.0.0/24", "192.0.2.9"]);
});

Deno.test("A node that never comes holds nothing up for long", async () => {
  await using api = new ApiDouble();
  api.put(rawService("web"));
  await using running = await RunningSource.on(api, {
    nodeName: "node-a",
    nodeGraceMs: 10_000,
    isNodeReady: hasAddresses,
  });
  await running.until(() => running.batches.length > 0);
  assert.equal(running.batches[0].length, 1);
});
