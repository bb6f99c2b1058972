/**
 * ipvs mode on a node with a network around it: connections that stay, clients that stay with their
 * server, and large clusters; ipvs_test.ts runs this in the virtual machine.
 *
 * @module
 */

import assert from "node:assert/strict";
import { cluster } from "../../../bench/sync_cluster.ts";
import type { ClusterObject } from "../../../src/cluster/objects.ts";
import type { ApiState } from "../../../src/api/state.ts";
import { IpvsView } from "../../../src/api/witness/ipvs_view.ts";
import { questionsAbout } from "../../../src/api/witness/questions.ts";
import { JUMPS } from "../../../src/dataplane/ipvs/jumps.ts";
import type { Answer } from "../../../src/explain/answer.ts";
import { parseNodeTables } from "../../../src/explain/iptables/explain.ts";
import { parseIpSets } from "../../../src/explain/netfilter/ipset.ts";
import { savedExplainer, stateExplainer } from "../../../src/explain/ipvs/explain.ts";
import { parseIpvsSave } from "../../../src/explain/ipvs/save_text.ts";
import { familyOf } from "../../../src/net/address.ts";
import { FrontendIndex } from "../../../src/plan/frontend_index.ts";
import type { PlanChange } from "../../../src/plan/plan.ts";
import { change, everything, TestNode } from "../../dataplane/ipvs/node.ts";
import { plannerOf, service, slice, type TestEndpoint } from "../../dataplane/ipvs/plans.ts";
import {
  CLIENTS,
  type Connection,
  IpvsNetwork,
  NODE_ADDRESS,
  POD_PORT,
  PODS,
} from "./ipvs_network.ts";

const MAIN = new URL("../../../src/main.ts", import.meta.url).pathname;
const PATIENCE_MS = 300_000;
const VIP = "10.96.0.1";
const WEB = { address: VIP, port: 80 };
const WEB_ID = { ...WEB, protocol: 6 };
const PORTS = [{ port: 80, protocol: "TCP", targetPort: POD_PORT }];
const BACKEND = [{ name: "", port: POD_PORT, protocol: "TCP" }];

async function until(condition: () => boolean, what: string): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  while (!condition()) {
    assert.ok(performance.now() < end, what);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The real servers of the Service: "10.244.0.1 weight 1", sorted. */
function reals({ ipvs }: TestNode): string[] {
  return ipvs.reals(WEB_ID).map(({ address, weight }) => `${address} weight ${weight}`).sort();
}

/** The agent as a program, in the node's namespace. */
function startAgent(node: TestNode, manifests: string): Deno.ChildProcess {
  const args = [
    ...["run", "-A", "--no-check", "--cached-only", MAIN, "run"],
    ...["--proxy-mode=ipvs", "--proxy-mode-strict", `--manifests=${manifests}`],
    ...["--hostname-override=node1", `--node-ip=${NODE_ADDRESS}`, "--ip-family=ipv4"],
    ...["--api-bind-address=", "--healthz-bind-address=", "--metrics-bind-address="],
  ];
  const command = new Deno.Command(Deno.execPath(), { args, stdout: "null", stderr: "inherit" });
  return node.namespace.run(() => command.spawn());
}

/** A Service and its endpoints, as manifests. */
function manifests(
  name: string,
  clusterIP: string,
  endpoints: readonly Partial<TestEndpoint>[],
): Record<string, unknown>[] {
  return [
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name },
      spec: { clusterIP, ports: PORTS },
    },
    {
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: { name, labels: { "kubernetes.io/service-name": name } },
      addressType: "IPv4",
      ports: BACKEND,
      endpoints: endpoints.map(({ address, ...conditions }) => ({
        addresses: [address],
        nodeName: "node1",
        conditions,
      })),
    },
  ];
}

/** The manifests of a cluster that changes: each state has one Service more, to be known by. */
class Cluster {
  readonly file = Deno.makeTempFileSync({ suffix: ".json" });
  #states = 0;

  constructor(readonly node: TestNode) {}

  write(...endpoints: readonly Partial<TestEndpoint>[]): void {
    this.#states++;
    const items = [
      ...manifests("web", VIP, endpoints),
      ...manifests("state", this.#mark.address, []),
    ];
    Deno.writeTextFileSync(this.file, JSON.stringify({ apiVersion: "v1", kind: "List", items }));
  }

  /** Resolves when the node has the state that was written last. */
  async synced(): Promise<void> {
    await until(() => this.node.ipvs.get(this.#mark) !== null, `state ${this.#states} is made`);
  }

  get #mark() {
    return { address: `10.96.1.${this.#states}`, port: 80, protocol: 6 };
  }
}

Deno.test("no connection breaks while the agent is killed, starts anew, and their pod ends", async () => {
  using network = new IpvsNetwork();
  const { node } = network;
  await node.output("iptables-legacy", "-t", "mangle", "-N", "KUBE-IPTABLES-HINT");
  const world = new Cluster(node);
  world.write({ address: PODS[0] }, { address: PODS[1] });
  const first = startAgent(node, world.file);
  await world.synced();
  await until(() => network.dial(WEB) !== null, "the Service answers");
  const open = Array.from({ length: 6 }, () => network.connect(WEB)!);
  const of = (pod: string) => open.filter((connection) => connection.pod === pod);
  assert.deepEqual(PODS.map((pod) => of(pod).length), [3, 3]);
  const exchange = (connections: readonly Connection[]) =>
    connections.forEach((connection) => connection.exchange());
  exchange(open);

  first.kill("SIGKILL");
  assert.equal((await first.status).signal, "SIGKILL");
  exchange(open);
  assert.notEqual(network.dial(WEB), null, "new connections without an agent");

  // Meanwhile the second pod has begun to end.
  const ending = { address: PODS[1], ready: false, serving: true, terminating: true };
  world.write({ address: PODS[0] }, ending);
  const second = startAgent(node, world.file);
  await world.synced();
  const draining = [`${PODS[0]} weight 1`, `${PODS[1]} weight 0`];
  assert.deepEqual(reals(node), draining);
  exchange(open);
  assert.deepEqual(Array.from({ length: 4 }, () => network.dial(WEB)), Array(4).fill(PODS[0]));

  world.write({ address: PODS[0] });
  await world.synced();
  exchange(open);
  assert.deepEqual(reals(node), draining, "gone from the cluster, it still has connections");

  of(PODS[1]).forEach((connection) => connection.reset());
  await until(() => reals(node).join() === draining[0], "it goes with its last connection");
  exchange(of(PODS[0]));
  second.kill("SIGTERM");
  assert.equal((await second.status).code, 0);
  exchange(of(PODS[0]));
  await Deno.remove(world.file);
});

Deno.test("clients stay with their pod over changes and restarts, until it ends", async () => {
  using network = new IpvsNetwork();
  const sticky = {
    sessionAffinity: "ClientIP",
    sessionAffinityConfig: { clientIP: { timeoutSeconds: 600 } },
  };
  const planner = plannerOf([
    service("web", VIP, PORTS, sticky),
    slice("web", BACKEND, PODS),
  ], { families: ["IPv4"] });
  const first = await network.node.start({ families: ["IPv4"] });
  await first.plane.sync(planner.plan, everything(planner.plan));
  const podsOf = (client: string) =>
    new Set(Array.from({ length: 3 }, () => network.dial(WEB, client)));
  const before = CLIENTS.map(podsOf);
  assert.deepEqual(before.map(({ size }) => size), [1, 1]);
  assert.notDeepEqual(before[0], before[1], "the pods take turns");

  await first.plane.stop();
  const second = await network.node.start({ families: ["IPv4"] });
  await second.plane.sync(planner.plan, everything(planner.plan));
  await change(second, planner, "apply", slice("web", BACKEND, [...PODS, "10.244.0.5"]));
  assert.deepEqual(CLIENTS.map(podsOf), before);

  const [[left]] = before;
  const [stays] = PODS.filter((pod) => pod !== left);
  await change(second, planner, "apply", slice("web", BACKEND, [stays]));
  assert.deepEqual(CLIENTS.map(podsOf), [new Set([stays]), new Set([stays])]);
  await second.plane.stop();
});

Deno.test("nobody is refused while an endpoint with connections leaves, by schedulers that hash", async () => {
  using network = new IpvsNetwork();
  const webs = ["mh", "sh", "dh"].map((scheduler, i) => ({
    name: scheduler,
    end: { address: `10.96.0.${i + 1}`, port: 80 },
    annotations: { "switchyard.io/ipvs-scheduler": scheduler },
  }));
  const planner = plannerOf(
    webs.flatMap(({ name, end, annotations }) => [
      service(name, end.address, PORTS, { annotations }),
      slice(name, BACKEND, PODS),
    ]),
    { families: ["IPv4"] },
  );
  const mode = await network.node.start({ families: ["IPv4"] });
  await mode.plane.sync(planner.plan, everything(planner.plan));
  // By client and port: mh; by client: sh; always the same: dh.
  const clients = Array.from({ length: 12 }, (_, i) => CLIENTS[i % 2]);
  const open = webs.map(({ end }) => clients.map((client) => network.connect(end, client)!));
  const [mh, sh, dh] = open.map((connections) => new Set(connections.map(({ pod }) => pod)));
  assert.deepEqual([mh.size, sh.size, dh.size], [2, 2, 1]);
  const [left] = dh;
  const stays = PODS.filter((pod) => pod !== left);
  await change(mode, planner, "apply", ...webs.map(({ name }) => slice(name, BACKEND, stays)));
  for (const { name, end } of webs) {
    const pods = new Set(clients.map((client) => network.dial(end, client)));
    assert.deepEqual([...pods], stays, name);
  }
  // Those of mh and sh go on.
  for (const connection of open.slice(0, 2).flat()) connection.exchange();
  await mode.plane.stop();
});

Deno.test("what a node has, and what programs print of it, is explained as what was programmed", async () => {
  using node = new TestNode([NODE_ADDRESS, "fd00:50::10"]);
  const ports = [{ port: 80, protocol: "TCP", nodePort: 30080 }];
  const ranges = { loadBalancerSourceRanges: ["192.168.50.64/26", "fd00:50::/64"] };
  const balancer = (ip: string) => ({ loadBalancer: { ingress: [{ ip }] } });
  const planner = plannerOf([
    service("web", VIP, ports, {
      type: "LoadBalancer",
      externalIPs: ["203.0.113.9"],
      status: balancer("203.0.113.5"),
      ...ranges,
    }),
    slice("web", BACKEND, ["10.244.0.1", "10.244.1.2"]),
    service("none", "10.96.0.2", [{ port: 80, protocol: "TCP" }]),
    service("dns", "10.96.0.3", [{ port: 53, protocol: "UDP" }], { sessionAffinity: "ClientIP" }),
    slice("dns", [{ name: "", port: 53, protocol: "UDP" }], ["10.244.0.1", "10.244.1.2"]),
    service("six", "fd00:96::1", [{ ...ports[0], nodePort: 30081 }], {
      type: "LoadBalancer",
      ipFamilies: ["IPv6"],
      externalTrafficPolicy: "Local",
      status: balancer("fd00:203::5"),
      ...ranges,
    }),
    slice("six", BACKEND, ["fd00:244::1", "fd00:244::2"]),
  ]);
  const mode = await node.start();
  await mode.plane.sync(planner.plan, everything(planner.plan));
  const nodeAddresses = planner.plan.node.addresses;
  const states = (["IPv4", "IPv6"] as const).map((family) => mode.plane.state(family)!);
  const programmed = stateExplainer(
    { states, jumps: JUMPS, nodeAddresses, used: true },
    () => null,
  );
  const rules = [
    await node.output("iptables-legacy-save"),
    await node.output("ip6tables-legacy-save"),
  ];
  const printed = savedExplainer({
    tables: parseNodeTables(rules.join("")),
    servers: parseIpvsSave(await node.output("ipvsadm-save", "-n")),
    ipsets: parseIpSets(await node.output("ipset", "save")),
    nodeAddresses,
  });
  const api = { plan: () => planner.plan, programming: true } as ApiState;
  const view = new IpvsView(api, () => new FrontendIndex(planner.plan));
  const read = {
    IPv4: await view.read("IPv4", mode.plane),
    IPv6: await view.read("IPv6", mode.plane),
  };
  const questions = [...planner.plan.services.values()]
    .flatMap((one) => questionsAbout(one, planner.plan.node));
  assert.ok(questions.length > 40);
  // Lines, and numbers in chains that the kernel began with, are others.
  const shown = ({ verdict, backends, masquerade, outcomes, unknown }: Answer) => ({
    ...{ verdict, masquerade, outcomes: outcomes.map(({ steps }) => steps.length) },
    backends: backends.map((backend) => JSON.stringify(backend)).sort(),
    unknown: unknown.map(({ chain, reason }) => [chain, reason]),
  });
  for (const { packet, from } of questions) {
    const flow = { name: from, ...packet };
    const expected = shown(programmed(flow));
    assert.deepEqual(shown(printed(flow)), expected, JSON.stringify(flow));
    assert.deepEqual(shown(read[familyOf(flow.dest)](flow).answer), expected, JSON.stringify(flow));
  }
  await mode.plane.stop();
});

Deno.test("5,000 Services of 10 endpoints are made, read back the same, and removed", async () => {
  using node = new TestNode([NODE_ADDRESS]);
  // What others have.
  node.net.links.createDummy({ name: "others0" });
  node.net.addresses.add({ link: "others0", address: "10.99.0.1" });
  const foreign = { address: "10.99.0.1", port: 443, protocol: 6 };
  node.ipvs.change({ verb: "add", server: { ...foreign, scheduler: "wlc" } });
  const real = { address: NODE_ADDRESS, port: 6443, weight: 7 };
  node.ipvs.change({ verb: "add", server: foreign, real });
  node.ipset.create({ name: "OTHERS", type: "hash:ip" });
  node.ipset.add("OTHERS", "hash:ip", [{ address: "10.99.0.1" }]);

  const objects = [...cluster(5000)].map(({ object }): ClusterObject => object);
  const planner = plannerOf(objects, { families: ["IPv4"], clusterCIDRs: ["10.128.0.0/9"] });
  const mode = await node.start({ families: ["IPv4"] });
  await mode.plane.sync(planner.plan, everything(planner.plan));
  const { state } = await mode.plane.read("IPv4");
  const wanted = mode.plane.state("IPv4")!;
  assert.equal(wanted.servers.size, 5000);
  assert.deepEqual([...state.servers.keys()].sort(), [...wanted.servers.keys()]);
  for (const [name, server] of wanted.servers) assert.deepEqual(state.servers.get(name), server);
  assert.deepEqual(state.addresses, wanted.addresses);
  for (const [name, { entries }] of wanted.sets) {
    assert.deepEqual(state.sets.get(name)?.entries, entries, name);
  }
  assert.deepEqual(await mode.plane.differences(), []);

  const removed: PlanChange = planner.update(
    objects.map((object) => ({ action: "delete", object })),
  );
  await mode.plane.sync(planner.plan, removed);
  assert.deepEqual(await mode.plane.differences(), []);
  const left = node.ipvs.list().map((server) => "address" in server ? server.address : "mark");
  assert.deepEqual(left, ["10.99.0.1"]);
  assert.deepEqual(
    node.ipvs.reals(foreign).map(({ address, port, weight }) => ({ address, port, weight })),
    [real],
  );
  assert.deepEqual(node.net.addresses.list({ link: "kube-ipvs0", family: "IPv4" }), []);
  assert.deepEqual(
    node.net.addresses.list({ link: "others0", family: "IPv4" }).map(({ address }) => address),
    ["10.99.0.1"],
  );
  const sets = node.ipset.list();
  assert.deepEqual(
    sets.filter(({ entries }) => entries.length > 0).map(({ name }) => name),
    ["OTHERS"],
  );
  await mode.plane.stop();
});
