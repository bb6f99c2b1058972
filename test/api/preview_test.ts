/** What a preview says of Services, rules and requests. */

import assert from "node:assert/strict";
import { loadManifests } from "../../src/cluster/manifests/load.ts";
import { EXAMPLES } from "../commands/cli.ts";
import { render } from "../../src/dataplane/iptables/render.ts";
import { ruleStructure } from "../../src/dataplane/iptables/structure.ts";
import { parseRuleset } from "../../src/dataplane/nftables/language/parse.ts";
import { DEFAULT_NFTABLES_OPTIONS } from "../../src/dataplane/nftables/options.ts";
import { render as renderTables } from "../../src/dataplane/nftables/render.ts";
import { tablesText } from "../../src/dataplane/nftables/structure.ts";
import { sortedTable } from "../dataplane/nftables/tables.ts";
import { post, withQueryApi } from "./http.ts";
import { plain, RealState, slice } from "./real_state.ts";
import { type Body, json, PATH, preview, served } from "./previews.ts";

const NFTABLES = "?mode=nftables";

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

Deno.test("in nftables mode, what would be sent makes the one table the other", async () => {
  const state = await served("nftables");
  const objects = [slice("web", ["10.180.0.1"]), plain("third", "10.0.1.177")];
  const { json: answer } = await preview(state, {
    objects: objects.map(json),
    delete: [{ kind: "Service", name: "other" }],
  });
  const tables = () =>
    tablesText([renderTables(state.plan(), "IPv4", DEFAULT_NFTABLES_OPTIONS).rules]);
  const before = tables();
  await state.apply(objects);
  await state.apply([plain("other", "10.0.1.176")], { action: "delete" });
  const [four, six] = answer.rules;
  assert.deepEqual([four.mode, four.family, six.added, six.text], ["nftables", "IPv4", [], ""]);
  const tableOf = (text: string) => sortedTable(parseRuleset(text).tables[0]);
  assert.deepEqual(tableOf(before + four.text), tableOf(tables()));
  const { added, removed }: Record<string, string[]> = four;
  assert.ok(added.includes("element cluster-ips 10.0.1.177"), added.join("\n"));
  const gone = /^chain endpoint-\w{8}-default\/web\/tcp\/http__10\.180\.0\.2\/8080$/;
  assert.ok(removed.some((line) => gone.test(line)), removed.join("\n"));
  const { json: other } = await preview(await served(), { objects: objects.map(json) }, NFTABLES);
  assert.ok(other.rules[0].added.includes("element cluster-ips 10.0.1.177"));
  assert.equal(other.rules[0].text, null);
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
