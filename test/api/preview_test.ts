import assert from "node:assert/strict";
import type { ClusterObject } from "../../src/cluster/objects.ts";
import { loadManifests } from "../../src/cluster/manifests/load.ts";
import { EXAMPLES } from "../commands/cli.ts";
import type { ProxyMode } from "../../src/dataplane/dataplane.ts";
import { render } from "../../src/dataplane/iptables/render.ts";
import { ruleStructure } from "../../src/dataplane/iptables/structure.ts";
import type { Connection } from "../../src/netlink/netfilter/conntrack.ts";
import { SYN } from "../engine/packets.ts";
import { post, type Reply, withQueryApi } from "./http.ts";
import { plain, RealState, slice, web } from "./real_state.ts";

const PATH = "/api/v1/preview";

/** As clients write it. */
function json(object: ClusterObject): Record<string, unknown> {
  const apiVersion = object.kind === "EndpointSlice" ? "discovery.k8s.io/v1" : "v1";
  return { apiVersion, ...object };
}

type Difference = {
  service: string;
  backends: Record<"added" | "removed", unknown[]>;
};

type Body = { objects?: unknown[]; delete?: unknown[] };

async function preview(state: RealState, body: Body, query = ""): Promise<Reply> {
  let reply: Reply | null = null;
  await withQueryApi(state, async (ask) => {
    const before = JSON.stringify([...state.plan().services.values()]);
    reply = await ask(`${PATH}${query}`, post(body));
    assert.equal(JSON.stringify([...state.plan().services.values()]), before, "it was applied");
  });
  return reply!;
}

async function served(mode: ProxyMode = "iptables"): Promise<RealState> {
  const state = new RealState(mode);
  await state.apply([...web(), plain("other", "10.0.1.176"), slice("other", ["10.180.0.9"])]);
  return state;
}

Deno.test("a preview of other endpoints: backends, and the rules that come and go", async () => {
  const state = await served();
  const object = json(slice("web", ["10.180.0.1", "10.180.0.4"]));
  const { status, json: answer } = await preview(state, { objects: [object] });
  assert.equal(status, 200, JSON.stringify(answer));
  assert.equal(answer.node, false);
  const [{ service, change, backends, frontends }] = answer.services;
  assert.deepEqual([answer.services.length, service, change], [1, "default/web", "changed"]);
  const addresses = (list: { address: string }[]) => list.map(({ address }) => address);
  // The first is another pod's now, by the name that it has in the slice.
  assert.deepEqual(addresses(backends.added), ["10.180.0.4"]);
  assert.deepEqual(addresses(backends.removed), ["10.180.0.2", "10.180.0.3"]);
  assert.deepEqual(backends.changed, []);
  assert.deepEqual(frontends.removed, []);
  const [four, six] = answer.rules;
  assert.deepEqual([four.mode, four.family, six.family], ["iptables", "IPv4", "IPv6"]);
  assert.deepEqual([six.added, six.removed, six.text], [[], [], ""]);
  assert.equal(four.added.length, four.addedTotal);
  assert.ok(four.added.some((line: string) => /^nat -A KUBE-SEP-\w+ .*10\.180\.0\.4/.test(line)));
  assert.ok(four.removed.some((line: string) => /^nat -A KUBE-SEP-\w+ .*10\.180\.0\.2/.test(line)));
  assert.match(four.text, /^\*nat\n/);
});

Deno.test("what is said of rules is what really changes between the two rule sets", async () => {
  const state = await served();
  const objects = [slice("web", ["10.180.0.1"]), plain("third", "10.0.1.177")];
  const { json: answer } = await preview(state, {
    objects: objects.map(json),
    delete: [{ kind: "Service", name: "other" }],
  });
  const linesOf = () =>
    ruleStructure(render(state.plan(), "IPv4", state.ruleOptions).rules).tables.flatMap(
      ({ name: table, chains }) =>
        chains.flatMap(({ name, rules }) => [
          `${table} :${name}`,
          ...rules.map((rule) => `${table} -A ${name} ${rule}`),
        ]),
    ).sort();
  const plainLine = (line: string) => line.replace(/^(\w+ :\S+) .*/, "$1");
  const before = linesOf();
  await state.apply(objects);
  await state.apply([plain("other", "10.0.1.176")], { action: "delete" });
  const { added, removed } = answer.rules[0];
  const expected = [...before];
  for (const line of removed.map(plainLine)) {
    const at = expected.indexOf(line);
    assert.ok(at >= 0, `${line} is not there`);
    expected.splice(at, 1);
  }
  assert.deepEqual([...expected, ...added.map(plainLine)].sort(), linesOf());
});

Deno.test("userspace mode's routing, and any other mode's rules when asked", async () => {
  const state = await served("userspace");
  const body = { objects: [json(plain("third", "10.0.1.177"))] };
  const { json: own } = await preview(state, body);
  assert.deepEqual(
    own.rules.map(({ mode, family, added, removed, text }: Record<string, unknown>) => [
      mode,
      family,
      added,
      removed,
      text,
    ]),
    [["userspace", null, ["route 10.0.1.177 source 192.168.50.10"], [], null]],
  );
  const { json: other } = await preview(state, body, "?mode=iptables");
  assert.deepEqual([other.rules[0].mode, other.rules[0].text], ["iptables", null]);
  const { json: same } = await preview(await served("iptables"), body);
  assert.deepEqual(other.rules[0].added, same.rules[0].added);
  const { json: ipvs } = await preview(state, body, "?mode=ipvs");
  const [four, six] = ipvs.rules;
  assert.deepEqual([four.mode, four.family, four.removed, six.added], ["ipvs", "IPv4", [], []]);
  assert.ok(four.added.includes("server -A -t 10.0.1.177:80 -s rr"), four.added.join("\n"));
});

Deno.test("a Service given anew keeps what clients do not write", async () => {
  const state = await served();
  const service = {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "web" },
    spec: {
      type: "LoadBalancer",
      sessionAffinity: "ClientIP",
      externalIPs: ["198.51.100.7"],
      loadBalancerSourceRanges: ["203.0.113.0/24"],
      ports: [{ name: "http", port: 80 }],
    },
  };
  const { json: answer } = await preview(state, { objects: [service] });
  const [{ frontends, backends }] = answer.services;
  assert.deepEqual([frontends.added, frontends.removed], [[], []]);
  assert.deepEqual([backends.added, backends.removed, backends.changed], [[], [], []]);
  assert.ok(frontends.changed.length >= 4);
  for (const { changes } of frontends.changed) {
    assert.deepEqual(changes, [
      { field: "affinity", before: "None", after: "ClientIP for 10800 s" },
    ]);
  }
  assert.deepEqual(answer.assumed, []);
});

Deno.test("a new Service gets addresses that no other one has, and that is said", async () => {
  const service = {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "new", namespace: "shop" },
    spec: { type: "NodePort", ports: [{ port: 80 }] },
  };
  const list = {
    apiVersion: "v1",
    kind: "List",
    items: [service, { apiVersion: "v1", kind: "Secret" }],
  };
  const { json: answer } = await preview(await served(), { objects: [list] });
  const [{ change, frontends }] = answer.services;
  assert.equal(change, "added");
  const [cluster, nodePort] = frontends.added;
  assert.deepEqual([cluster.kind, nodePort.kind, nodePort.address], [
    "ClusterIP",
    "NodePort",
    null,
  ]);
  assert.match(cluster.address, /^10\.0\./);
  assert.notEqual(nodePort.port, 30080);
  assert.deepEqual(answer.assumed, [
    `Service shop/new: spec.clusterIPs[0]: ${cluster.address}`,
    `Service shop/new: spec.ports[0].nodePort: ${nodePort.port}`,
  ]);
  assert.deepEqual(answer.ignored, ["Secret"]);
});

Deno.test("lists are taken apart, as an API server returns them too", async () => {
  const services = [plain("third", "10.0.1.177"), plain("fourth", "10.0.1.178")];
  const items = services.map(({ kind: _, ...rest }) => rest);
  const typed = { apiVersion: "v1", kind: "ServiceList", items };
  const list = { apiVersion: "v1", kind: "List", items: [typed] };
  const { json: answer } = await preview(await served(), { objects: [list] });
  const names = answer.services.map(({ service }: { service: string }) => service);
  assert.deepEqual(names, ["default/fourth", "default/third"]);
});

Deno.test("what cannot be had is told, and the rest is previewed", async () => {
  const taken = { ...json(plain("thief", "10.0.1.175")) };
  const { status, json: answer } = await preview(await served(), {
    objects: [taken, json(plain("third", "10.0.1.177"))],
    delete: [{ kind: "Service", name: "none" }, { kind: "EndpointSlice", name: "other" }],
  });
  assert.equal(status, 200);
  assert.deepEqual(answer.problems, [
    "delete[0]: Service default/none: the plan has none, so nothing would change",
    "objects[0]: Service default/thief: spec.clusterIP: 10.0.1.175 is the address of Service " +
    "default/web",
  ]);
  assert.deepEqual(
    answer.services.map(({ service, change }: Record<string, string>) => [service, change]),
    [["default/other", "changed"], ["default/third", "added"]],
  );
});

Deno.test("the node's own object is previewed, too", async () => {
  const node = {
    apiVersion: "v1",
    kind: "Node",
    metadata: { name: "node1", labels: { "topology.kubernetes.io/zone": "z" } },
  };
  const { json: same } = await preview(await served(), { objects: [node] });
  assert.deepEqual([same.node, same.services], [false, []]);
});

Deno.test("the engine's connections that a change would touch", async () => {
  const state = await served("userspace");
  for (let i = 0; i < 6; i++) {
    const dest = i < 3 ? "10.0.1.175" : "10.0.1.176";
    state.send({ source: "10.180.0.77", sourcePort: 40_000 + i, dest, port: 80, flags: SYN });
  }
  const { json: answer } = await preview(state, {
    objects: [json(slice("web", ["10.180.0.1"]))],
    delete: [{ kind: "Service", namespace: "default", name: "other" }],
  });
  const { trackedBy, totals, looked, complete, items } = answer.connections;
  assert.deepEqual([trackedBy, looked, complete], ["engine", 6, true]);
  // Two of web's three go to backends that leave; other's address is led to the engine no more.
  assert.deepEqual(totals, { moves: 0, orphaned: 2, ends: 3 });
  const orphaned = items.filter(({ effect }: { effect: string }) => effect === "orphaned");
  assert.match(
    orphaned[0].reason,
    /^10\.180\.0\.[23]:8080 would be no endpoint of default\/web:http/,
  );
  assert.equal(orphaned[0].connection.service, "default/web:http");
});

/** A connection of the kernel to web's cluster IP; without a backend it was never translated. */
function tracked(protocol: "TCP" | "UDP", backend: string | null, port = 80): Connection {
  const number = protocol === "TCP" ? 6 : 17;
  return {
    family: "IPv4",
    original: {
      source: "10.180.0.77",
      sourcePort: 40_000,
      destination: "10.0.1.175",
      destinationPort: port,
      protocol: number,
    },
    reply: {
      source: backend ?? "10.0.1.175",
      sourcePort: backend === null ? port : 8080,
      destination: "10.180.0.77",
      destinationPort: 40_000,
      protocol: number,
    },
    zone: 0,
    id: 1,
    status: 0,
    mark: 0,
    timeout: 60,
    tcpState: null,
    startedAtMs: null,
    counters: null,
  };
}

function withConnections(state: RealState, ...connections: readonly Connection[]): RealState {
  state.node = {
    async *connections() {
      yield await Promise.resolve(connections);
    },
  };
  return state;
}

const asUdp = <T>(objects: T): T =>
  JSON.parse(JSON.stringify(objects).replaceAll('"TCP"', '"UDP"'));

type Conditions = { ready?: boolean; serving?: boolean; terminating?: boolean };

/** web's slice, with these conditions of its endpoints 10.180.0.1 and following. */
function conditioned(...conditions: readonly Conditions[]): ClusterObject {
  const one = slice("web", conditions.map((_, i) => `10.180.0.${i + 1}`));
  assert.ok(one.kind === "EndpointSlice");
  const endpoints = one.endpoints.map((end, i) => ({ ...end, conditions: conditions[i] }));
  return { ...one, endpoints };
}

const DRAINING = { ready: false, serving: true, terminating: true };
const GONE = { ready: false, serving: false, terminating: true };

Deno.test("the kernel's connections: UDP moves on, TCP stays", async () => {
  const state = withConnections(
    await served(),
    tracked("TCP", "10.180.0.2"),
    tracked("TCP", "10.180.0.1"),
    tracked("UDP", "10.180.0.2"),
  );
  const { json: tcp } = await preview(state, { objects: [json(slice("web", ["10.180.0.1"]))] });
  assert.deepEqual(tcp.connections.totals, { moves: 0, orphaned: 1, ends: 0 });
  await state.apply(asUdp(web()));
  const after = asUdp(json(slice("web", ["10.180.0.1"])));
  const { json: answer } = await preview(state, { objects: [after] });
  assert.equal(answer.connections.trackedBy, "kernel");
  assert.deepEqual(answer.connections.totals, { moves: 1, orphaned: 0, ends: 0 });
});

for (
  const [what, before, after, expected] of [
    ["a TCP endpoint that begins to end", [{}, {}], [{}, DRAINING], "orphaned"],
    ["a TCP endpoint that is not ready any more", [{}, {}], [{}, { ready: false }], "orphaned"],
    ["a TCP endpoint that was ending already", [{}, DRAINING], [{}, GONE], null],
    ["a TCP endpoint that is all that is left", [{}, {}], [GONE, DRAINING], null],
    ["a TCP endpoint that is there no more", [{}, DRAINING], [{}], "orphaned"],
    ["a UDP endpoint that ends and serves", [{}, {}], [{}, DRAINING], "orphaned"],
    ["a UDP endpoint that serves no more", [{}, DRAINING], [{}, GONE], "moves"],
    ["a UDP endpoint that was the last one to serve", [{}, {}], [GONE, GONE], "orphaned"],
  ] as [string, Conditions[], Conditions[], string | null][]
) {
  Deno.test(`what becomes of connections: ${what}`, async () => {
    const protocol = what.includes("UDP") ? "UDP" : "TCP";
    const own = <T>(object: T) => protocol === "UDP" ? asUdp(object) : object;
    const state = withConnections(await served(), tracked(protocol, "10.180.0.2"));
    await state.apply(own([web()[0], conditioned(...before)]));
    const { json: answer } = await preview(state, { objects: [json(own(conditioned(...after)))] });
    const effects = answer.connections.items.map(({ effect }: { effect: string }) => effect);
    assert.deepEqual(effects, expected === null ? [] : [expected]);
  });
}

Deno.test("UDP flows that went to nobody go to the first endpoint, TCP ones do not", async () => {
  const state = withConnections(
    await served(),
    tracked("UDP", null),
    tracked("TCP", null),
    tracked("UDP", null, 81),
  );
  await state.apply(asUdp([web()[0], slice("web", [])]));
  const { json: answer } = await preview(state, {
    objects: [json(asUdp(slice("web", ["10.180.0.1"])))],
  });
  assert.deepEqual(answer.connections.totals, { moves: 1, orphaned: 0, ends: 0 });
  assert.equal(
    answer.connections.items[0].reason,
    "it went to no endpoint, and default/web:http would have one",
  );
  const { json: more } = await preview(
    withConnections(await served(), tracked("UDP", null)),
    { objects: [json(slice("web", ["10.180.0.9"]))] },
  );
  assert.deepEqual(more.connections.totals, { moves: 0, orphaned: 0, ends: 0 });
});

Deno.test("a Service that goes takes connections with it where IPVS forwards", async () => {
  const gone = { delete: [{ kind: "Service", name: "web" }] };
  const kept = withConnections(await served("iptables"), tracked("TCP", "10.180.0.2"));
  const { json: orphaned } = await preview(kept, gone);
  assert.deepEqual(orphaned.connections.totals, { moves: 0, orphaned: 1, ends: 0 });
  const ipvs = withConnections(await served("ipvs"), tracked("TCP", "10.180.0.2"));
  const { json: ended } = await preview(ipvs, gone);
  assert.deepEqual(ended.connections.totals, { moves: 0, orphaned: 0, ends: 1 });
});

/** The cluster of the examples, whose controllers are at hand. */
async function simulated(): Promise<RealState> {
  const { objects, simulated } = await loadManifests({ path: EXAMPLES, nodeName: "lab-node" });
  const state = new RealState("iptables");
  await state.apply(objects);
  state.simulated = simulated;
  return state;
}

const deployment = (replicas: number) => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name: "hostnames" },
  spec: {
    replicas,
    selector: { matchLabels: { app: "hostnames" } },
    template: {
      metadata: { labels: { app: "hostnames" } },
      spec: { containers: [{ name: "hostnames", image: "x", ports: [{ containerPort: 9376 }] }] },
    },
  },
});

Deno.test("a Deployment has its effect where the cluster is one of manifests", async () => {
  const { json: answer } = await preview(await simulated(), { objects: [deployment(5)] });
  assert.deepEqual([answer.problems, answer.ignored], [[], []]);
  assert.deepEqual(
    answer.services.map(({ service, backends }: Difference) => [
      service,
      backends.added.length,
      backends.removed.length,
    ]),
    [["default/hostnames", 2, 0]],
  );
  assert.deepEqual(answer.assumed, ["addresses and nodes of 2 new pods"]);
  const { json: less } = await preview(await simulated(), {
    delete: [
      { kind: "Deployment", name: "hostnames" },
      { kind: "Pod", name: "hostnames-b56xn" },
      { kind: "EndpointSlice", name: "hostnames-none" },
    ],
  });
  assert.equal(less.services[0].backends.removed.length, 3);
  assert.deepEqual(less.problems, [
    "delete[1]: Pod default/hostnames-b56xn: there is none, so nothing would change",
    "delete[2]: EndpointSlice default/hostnames-none: there is none, so nothing would change",
  ]);
});

Deno.test("a new Service finds its pods where the cluster is one of manifests", async () => {
  const service = {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "again" },
    spec: { selector: { app: "hostnames" }, ports: [{ port: 80, targetPort: 9376 }] },
  };
  const { json: here } = await preview(await simulated(), { objects: [service] });
  assert.equal(here.services[0].backends.added.length, 3);
  const { json: there } = await preview(await served(), { objects: [service] });
  assert.equal(there.services[0].backends.added.length, 0);
  assert.equal(
    there.assumed.at(-1),
    "Service default/again: no endpoints, which controllers make by spec.selector",
  );
});

Deno.test("of what a cluster's own controllers decide it is told that they do", async () => {
  const { json: answer } = await preview(await served(), {
    objects: [deployment(5), json(slice("web", ["10.180.0.1"]))],
    delete: [{ kind: "StatefulSet", namespace: "shop", name: "db" }],
  });
  const why =
    "ignored, because the cluster's controllers decide which pods and endpoints come of " +
    "it; expected EndpointSlices instead";
  assert.deepEqual(answer.problems, [
    `delete[0]: StatefulSet shop/db: ${why}`,
    `objects[0]: Deployment default/hostnames: ${why}`,
  ]);
  assert.equal(answer.services.length, 1);
});

Deno.test("the examples' Services, given as users write them, change nothing", async () => {
  const { objects } = await loadManifests({ path: EXAMPLES, nodeName: "node1" });
  const services = objects.filter((object) => object.kind === "Service");
  assert.ok(services.length > 8);
  const state = new RealState("iptables");
  await state.apply(objects);
  const written = services.map((object) => {
    const { clusterIP, clusterIPs: _, healthCheckNodePort: __, ports, ...spec } = object.spec;
    const headless = clusterIP === "None" ? { clusterIP } : {};
    return json({
      ...object,
      spec: { ...spec, ...headless, ports: ports.map(({ nodePort: _, ...port }) => port) },
      status: undefined,
    });
  });
  const { json: answer } = await preview(state, { objects: written });
  assert.deepEqual([answer.services, answer.problems, answer.assumed], [[], [], []]);
  for (const { added, removed } of answer.rules) assert.deepEqual([added, removed], [[], []]);
});

Deno.test("one preview at a time", async () => {
  const state = await served();
  const asked = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  state.node = {
    async *connections() {
      asked.resolve();
      yield await held.promise.then(() => []);
    },
  };
  await withQueryApi(state, async (ask) => {
    const first = ask(PATH, post({ objects: [json(slice("web", []))] }));
    await asked.promise;
    const second = await ask(PATH, post({}));
    assert.deepEqual([second.status, second.headers.get("retry-after")], [429, "1"]);
    held.resolve();
    assert.equal((await first).status, 200);
    assert.equal((await ask(PATH, post({}))).status, 200);
  });
});

Deno.test("nothing asked, nothing changes", async () => {
  const { status, json: answer } = await preview(await served(), {});
  assert.equal(status, 200);
  assert.deepEqual([answer.services, answer.problems, answer.connections.looked], [[], [], 0]);
});

for (
  const [what, body, status, field] of [
    ["no object", { objects: [7] }, 400, "objects[0]"],
    ["no kind", { objects: [{}] }, 400, "objects[0].kind"],
    [
      "a bad port",
      {
        objects: [{
          apiVersion: "v1",
          kind: "List",
          items: [{
            apiVersion: "v1",
            kind: "Service",
            metadata: { name: "x" },
            spec: { ports: [{ port: 0 }] },
          }],
        }],
      },
      400,
      "objects[0].items[0].spec.ports[0].port",
    ],
    ["an unknown field", { object: [] }, 400, "object"],
    [
      "an object twice",
      {
        objects: [json(plain("a", "10.0.0.9")), json(plain("a", "10.0.0.8"))],
      },
      400,
      "objects[1]",
    ],
    ["a kind to delete", { delete: [{ kind: "Secret", name: "x" }] }, 400, "delete[0].kind"],
    ["a name to delete", { delete: [{ kind: "Service" }] }, 400, "delete[0].name"],
    ["too many", { objects: Array(1001).fill({}) }, 413, "objects"],
  ] as [string, Body, number, string][]
) {
  Deno.test(`a preview is refused: ${what}`, async () => {
    const { status: got, json: answer } = await preview(await served(), body);
    assert.equal(got, status, JSON.stringify(answer));
    assert.equal(answer.error.field, field);
  });
}
