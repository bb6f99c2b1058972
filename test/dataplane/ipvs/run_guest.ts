/**
 * The agent as a program in ipvs mode, killed and started again; dataplane_test.ts runs this in a
 * virtual machine.
 *
 * @module
 */

import assert from "node:assert/strict";
import { TestNode } from "./node.ts";

const MAIN = new URL("../../../src/main.ts", import.meta.url).pathname;
const PATIENCE_MS = 300_000;

const manifest = (name: string, clusterIP: string, endpoints: readonly string[]) =>
  JSON.stringify({
    apiVersion: "v1",
    kind: "List",
    items: [
      {
        apiVersion: "v1",
        kind: "Service",
        metadata: { name },
        spec: { clusterIP, type: "NodePort", ports: [{ port: 80, nodePort: 30080 }] },
      },
      {
        apiVersion: "discovery.k8s.io/v1",
        kind: "EndpointSlice",
        metadata: { name, labels: { "kubernetes.io/service-name": name } },
        addressType: "IPv4",
        ports: [{ name: "", port: 8080, protocol: "TCP" }],
        endpoints: endpoints.map((address) => ({ addresses: [address], nodeName: "node1" })),
      },
    ],
  });

function start(node: TestNode, ...args: readonly string[]): Deno.ChildProcess {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--cached-only", MAIN, ...args],
    stdout: "null",
    stderr: "inherit",
  });
  return node.namespace.run(() => command.spawn());
}

const run = (node: TestNode, manifests: string) =>
  start(
    node,
    ...["run", "--proxy-mode=ipvs", "--proxy-mode-strict", `--manifests=${manifests}`],
    ...["--hostname-override=node1", "--ip-family=ipv4", "--ipvs-scheduler=wrr"],
    ...["--api-bind-address=", "--healthz-bind-address=", "--metrics-bind-address="],
  );

/** The exit status of `diff` on the node, which finds out the mode by itself. */
async function differs(node: TestNode, manifests: string): Promise<number> {
  const { code } = await start(
    node,
    ...["diff", "--this-node", `--manifests=${manifests}`, "--hostname-override=node1"],
    ...["--ip-family=ipv4", "--ipvs-scheduler=wrr", "--verify"],
  ).status;
  return code;
}

/** "10.96.0.1:80 → 10.244.0.1:8080" of each real server. */
const forwards = (node: TestNode) =>
  node.ipvs.list().flatMap((server) =>
    "mark" in server
      ? []
      : node.ipvs.reals(server).map(({ address, port }) =>
        `${server.address}:${server.port} → ${address}:${port}`
      )
  ).sort();

async function until(condition: () => boolean, what: string): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  while (!condition()) {
    assert.ok(performance.now() < end, what);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

Deno.test("killed, ipvs mode goes on forwarding, and the next start makes of it what is asked", async () => {
  using node = new TestNode(["192.168.50.10"]);
  await node.output("iptables-legacy", "-t", "mangle", "-N", "KUBE-IPTABLES-HINT");
  const file = await Deno.makeTempFile();
  await Deno.writeTextFile(file, manifest("web", "10.96.0.1", ["10.244.0.1", "10.244.0.2"]));
  const first = run(node, file);
  const both = [
    "10.96.0.1:80 → 10.244.0.1:8080",
    "10.96.0.1:80 → 10.244.0.2:8080",
    "192.168.50.10:30080 → 10.244.0.1:8080",
    "192.168.50.10:30080 → 10.244.0.2:8080",
  ];
  const there = (wanted: readonly string[]) => () => forwards(node).join() === wanted.join();
  await until(there(both), "the first start makes everything");
  const address = () =>
    node.net.links.get("kube-ipvs0") !== null &&
    node.net.addresses.list({ link: "kube-ipvs0", family: "IPv4" }).length === 1;
  await until(address, "the cluster IP is local");
  // The node gets another address, and its node ports with it.
  node.net.addresses.add({ link: "lo", address: "192.168.50.11" });
  const moved = [...both, ...both.slice(2).map((line) => line.replace("50.10", "50.11"))];
  await until(there(moved), "node ports are on the new address too");
  const end = performance.now() + PATIENCE_MS;
  while (await differs(node, file) !== 0) assert.ok(performance.now() < end, "all is there");
  first.kill("SIGKILL");
  assert.equal((await first.status).signal, "SIGKILL");
  assert.deepEqual(forwards(node), moved);
  node.ipvs.change({
    verb: "remove",
    server: { address: "10.96.0.1", port: 80, protocol: 6 },
    real: { address: "10.244.0.2", port: 8080 },
  });
  assert.equal(await differs(node, file), 1, "a real server is missing");

  await Deno.writeTextFile(file, manifest("other", "10.96.0.2", ["10.244.0.3"]));
  const second = run(node, file);
  await until(
    there([
      "10.96.0.2:80 → 10.244.0.3:8080",
      "192.168.50.10:30080 → 10.244.0.3:8080",
      "192.168.50.11:30080 → 10.244.0.3:8080",
    ]),
    "the second start takes away what the first one left",
  );
  second.kill("SIGTERM");
  assert.equal((await second.status).code, 0);
  assert.ok(forwards(node).length > 0, "traffic goes on");

  assert.equal((await start(node, "cleanup").status).code, 0);
  assert.deepEqual([node.ipvs.list(), node.ipset.names()], [[], []]);
  assert.equal(node.net.links.get("kube-ipvs0"), null);
  assert.doesNotMatch(await node.output("iptables-legacy-save"), /KUBE-(?!IPTABLES-HINT)/);
  await Deno.remove(file);
});
