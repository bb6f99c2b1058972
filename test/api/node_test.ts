/** The API of a whole agent on a real node: a network namespace with real rules and connections. */

import assert from "node:assert/strict";
import { startAgent } from "../../src/agent/assemble.ts";
import type { ClusterObject } from "../../src/cluster/objects.ts";
import type { ClusterListener, ClusterSource } from "../../src/cluster/source.ts";
import { parseCommandLine } from "../../src/config/config.ts";
import type { DataPlane } from "../../src/dataplane/dataplane.ts";
import { IptablesDataPlane } from "../../src/dataplane/iptables/dataplane.ts";
import { ProgramRunner } from "../../src/dataplane/iptables/programs.ts";
import { UserspaceDataPlane } from "../../src/dataplane/userspace/dataplane.ts";
import { LocalEngine } from "../../src/engine/local.ts";
import { NetworkNamespace } from "../../src/linux/namespace.ts";
import { writeSysctl } from "../../src/linux/sysctl.ts";
import { Rtnetlink } from "../../src/netlink/route/rtnetlink.ts";
import { requires } from "../requirements.ts";
import { until } from "../until.ts";
import { slice, web } from "./real_state.ts";

const NODE = "192.168.50.10";
const VIP = "10.0.1.175";
const POD = "10.180.0.1";
const ARGS = [
  "--hostname-override=node1",
  `--node-ip=${NODE}`,
  "--cluster-cidr=10.180.0.0/16",
  "--ip-family=ipv4",
  "--iptables-min-sync-period=0s",
  "--api-bind-address=127.0.0.1:0",
  "--healthz-bind-address=",
  "--metrics-bind-address=",
];

/** A cluster in memory. */
class MemorySource implements ClusterSource {
  listener: ClusterListener | null = null;

  constructor(readonly objects: readonly ClusterObject[]) {}

  async run(listener: ClusterListener, signal: AbortSignal): Promise<void> {
    this.listener = listener;
    this.apply(...this.objects);
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
  }

  apply(...objects: ClusterObject[]): void {
    this.listener!.changed(objects.map((object) => ({ action: "apply", object })));
  }
}

/** A node of one interface that has its own address, a pod's, and a way to the Services'. */
function makeNode(): NetworkNamespace {
  const namespace = NetworkNamespace.create();
  namespace.run(() => {
    using net = Rtnetlink.open();
    net.links.setUp("lo");
    for (const address of [NODE, POD]) {
      net.addresses.add({ link: "lo", address });
    }
    net.routes.add({ destination: "10.0.1.0/24", link: "lo", preferredSource: NODE });
  });
  return namespace;
}

// deno-lint-ignore no-explicit-any -- tests look into answers of any shape
type Ask = (path: string) => Promise<any>;

async function withAgent(
  plane: (namespace: NetworkNamespace) => Promise<DataPlane>,
  test: (ask: Ask, node: NetworkNamespace, source: MemorySource) => Promise<void>,
): Promise<void> {
  using namespace = makeNode();
  const { config } = parseCommandLine(ARGS, "run", () => "node1");
  const source = new MemorySource(udp(web()));
  const running = await startAgent(config, {
    source,
    dataPlane: await plane(namespace),
    programming: true,
    localAddresses: [],
  });
  try {
    await running.agent.ready;
    const { port } = running.servers.api!.address;
    const ask: Ask = async (path) => {
      const response = await fetch(`http://127.0.0.1:${port}/api/v1/${path}`);
      const body = await response.json();
      assert.equal(response.status, 200, JSON.stringify(body));
      return body;
    };
    await test(ask, namespace, source);
  } finally {
    await running.stop();
  }
}

/** The same objects with UDP, as a datagram needs nobody who answers. */
function udp(objects: readonly ClusterObject[]): ClusterObject[] {
  return JSON.parse(JSON.stringify(objects).replaceAll('"TCP"', '"UDP"'));
}

const iptables = (namespace: NetworkNamespace) =>
  IptablesDataPlane.start({
    engine: LocalEngine.create(),
    families: ["IPv4"],
    namespaceFd: namespace.fd,
    backend: "nft",
  });

Deno.test({
  ...requires("the API of a node in iptables mode", "root", "netns", "iptables-nft"),
  async fn() {
    await withAgent(iptables, async (ask, node, source) => {
      const agreed = await ask("diff?verify=true");
      assert.deepEqual(agreed.differences, []);
      assert.equal(agreed.verification.rules, "node");
      assert.deepEqual(agreed.verification.disputes, []);
      assert.ok(agreed.verification.asked > 20);

      const packet = `source=${NODE}&dest=${VIP}&port=80&protocol=UDP`;
      const explained = await ask(`explain?${packet}&rules=node`);
      assert.equal(explained.answeredBy, "rules");
      assert.equal(explained.backends.length, 3);
      assert.deepEqual(explained.disagreements, []);
      assert.equal((await ask("rules/iptables")).source, "synced");

      source.apply(...udp([slice("web", [POD])]));
      await until(
        async () => (await ask(`explain?${packet}&rules=node`)).backends.length === 1,
        "one backend",
      );
      const [newest] = (await ask("history")).items;
      assert.deepEqual([newest.trigger, newest.ok, newest.causes[0].object], [
        "change",
        true,
        "default/web",
      ]);
      const { sent, differences } = await ask(`history/${newest.id}`);
      assert.match(sent[0].text, /^\*nat\n(.*\n)*-X KUBE-SEP-/);
      assert.equal(differences[0].backends.removed.length, 2);
      node.run(() => writeSysctl("net.netfilter.nf_conntrack_timestamp", 1));
      const socket = node.run(() =>
        Deno.listenDatagram({ transport: "udp", hostname: NODE, port: 0 })
      );
      const { port: sourcePort } = socket.addr as Deno.NetAddr;
      await socket.send(new Uint8Array(1), { transport: "udp", hostname: VIP, port: 80 });
      const { trackedBy, items, unavailable } = await ask("conntrack?service=default/web");
      socket.close();
      assert.ok(items[0].ageSeconds >= 0 && items[0].ageSeconds < 60, items[0].ageSeconds);
      assert.deepEqual(unavailable.map(({ field }: { field: string }) => field), ["counters"]);
      assert.equal(trackedBy, "kernel");
      assert.equal(items.length, 1);
      const { client, backend, service, stale, state } = items[0];
      assert.deepEqual({ client, backend, service, stale, state }, {
        client: { address: NODE, port: sourcePort, pod: null },
        backend: { address: POD, port: 8080, pod: "default/web-0" },
        service: "default/web:http",
        stale: null,
        state: "UNREPLIED",
      });
      source.apply(...udp([slice("web", ["10.180.0.9"])]));
      // The proxy makes the kernel forget what has become stale.
      await until(
        async () => (await ask("conntrack?service=default/web")).items.length === 0,
        "no connection",
      );

      const nat = ["-w", "5", "-t", "nat"];
      const { code } = await new ProgramRunner(node)
        .run("iptables-nft", [...nat, "-F", "KUBE-SERVICES"]);
      assert.equal(code, 0);
      const drifted = await ask("diff?verify=true");
      assert.deepEqual(
        drifted.differences.map(({ where, problem }: Record<string, string>) => [where, problem]),
        [["IPv4 nat KUBE-SERVICES", "changed"]],
      );
      assert.ok(drifted.verification.disputes.length > 0);
      assert.equal((await ask(`explain?${packet}&rules=node`)).verdict, "PASS");
    });
  },
});

Deno.test({
  ...requires("the API of a node in userspace mode", "root", "netns", "tun"),
  async fn() {
    const userspace = (node: NetworkNamespace) =>
      UserspaceDataPlane.start({ namespaceFd: node.fd });
    await withAgent(userspace, async (ask, node) => {
      const agreed = await ask("diff?verify=true");
      assert.deepEqual(agreed.differences, []);
      assert.deepEqual(agreed.verification.disputes, []);
      const explained = await ask(`explain?source=${POD}&dest=${VIP}&port=80&protocol=UDP`);
      assert.equal(explained.answeredBy, "engine");
      assert.equal(explained.masquerade, true);
      assert.deepEqual(explained.disagreements, []);
      assert.equal((await ask("conntrack")).trackedBy, "engine");
      node.run(() => {
        using net = Rtnetlink.open();
        const [route] = net.routes.list({ table: 10256 })
          .filter(({ destination }) => destination === `${VIP}/32`);
        net.routes.remove({ destination: VIP, table: 10256, link: route.link! });
      });
      const { differences } = await ask("diff");
      assert.deepEqual(differences, [{
        where: `route ${VIP} source ${NODE}`,
        problem: "missing",
        found: [],
        expected: [`route ${VIP} source ${NODE}`],
      }]);
    });
  },
});
