import assert from "node:assert/strict";
import type { EndpointSlice, Pod } from "../../src/cluster/objects.ts";
import type { ClusterChange, ClusterListener } from "../../src/cluster/source.ts";
import { ClusterLab } from "../../src/lab/cluster_lab.ts";
import type { Server } from "../../src/lab/topology.ts";
import { until } from "../until.ts";

const pod = (name: string, address: string): Pod => ({
  kind: "Pod",
  metadata: { name, namespace: "default" },
  spec: { containers: [{ name: "c", ports: [{ containerPort: 80, protocol: "TCP" }] }] },
  status: { podIPs: [address] },
});

const slice = (...addresses: string[]): ClusterChange & { object: EndpointSlice } => ({
  action: "apply",
  object: {
    kind: "EndpointSlice",
    metadata: { name: "s", namespace: "default" },
    addressType: "IPv4",
    endpoints: addresses.map((address) => ({ addresses: [address] })),
    ports: [{ port: 80 }],
  },
});

/** A lab that only writes down what it is asked, and takes a moment for it. */
class Recorder {
  readonly events: string[] = [];

  async setServers(servers: readonly Server[]): Promise<string[]> {
    await new Promise((resolve) => setTimeout(resolve, 1));
    this.events.push(`lab ${servers.map(({ hostname }) => hostname).sort().join(" ")}`);
    return servers.some(({ hostname }) => hostname === "bad") ? ["bad: refused"] : [];
  }
}

async function start(graceMs: number) {
  const lab = new Recorder();
  const problems: string[][] = [];
  const cluster = new ClusterLab(lab, { graceMs, problems: (lines) => problems.push([...lines]) });
  let listener: ClusterListener | undefined;
  await cluster.follow({
    run(given) {
      listener = given;
      return Promise.resolve();
    },
  }).run({
    changed: (changes) => lab.events.push(`told ${changes.length}`),
    problems: () => {},
  }, new AbortController().signal);
  return { lab, cluster, problems, listener: listener! };
}

const later = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

Deno.test("servers come before the change is told and go after it", async () => {
  const { lab, cluster, listener } = await start(50);
  cluster.setPods([pod("a", "10.0.0.1"), pod("b", "10.0.0.2")]);
  listener.changed([slice("10.0.0.1", "10.0.0.2", "192.0.2.9")]);
  await cluster.settled();
  assert.deepEqual(lab.events.splice(0), [
    "lab a b s-192.0.2.9",
    "lab a b s-192.0.2.9",
    "told 1",
  ]);

  cluster.setPods([pod("a", "10.0.0.1"), pod("c", "10.0.0.3")]);
  listener.changed([slice("10.0.0.1", "10.0.0.3")]);
  await until(() => lab.events.at(-1) === "lab a c", "leaving servers go");
  assert.deepEqual(lab.events.slice(-3), ["lab a b c s-192.0.2.9", "told 1", "lab a c"]);
  await cluster.stop();
});

Deno.test("a new pod with a leaving one's name or address takes its place at once", async () => {
  const { lab, cluster } = await start(10_000);
  cluster.setPods([pod("a", "10.0.0.1"), pod("b", "10.0.0.2")]);
  await cluster.settled();
  cluster.setPods([pod("a", "10.0.0.9"), pod("c", "10.0.0.2")]);
  await cluster.settled();
  assert.deepEqual(lab.events, ["lab a b", "lab a c"]);
  await cluster.stop();
});

Deno.test("what the lab cannot have is told, until it can", async () => {
  const { cluster, problems } = await start(0);
  cluster.setPods([pod("bad", "10.0.0.1")]);
  await cluster.settled();
  assert.deepEqual(problems.at(-1), ["bad: refused"]);
  cluster.setPods([]);
  await cluster.settled();
  await until(() => problems.at(-1)?.length === 0, "no problem is left");
  await cluster.stop();
});

Deno.test("nothing is asked of the lab or told after the stop", async () => {
  const { lab, cluster, listener } = await start(5);
  cluster.setPods([pod("a", "10.0.0.1")]);
  await cluster.settled();
  cluster.setPods([]);
  await cluster.settled();
  await cluster.stop();
  const before = lab.events.length;
  listener.changed([slice("10.0.0.1")]);
  await later(20);
  assert.equal(lab.events.length, before);
});
