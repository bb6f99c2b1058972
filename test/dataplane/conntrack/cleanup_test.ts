/** Stale UDP flows in the kernel, with real datagrams of one client socket through iptables mode. */

import assert from "node:assert/strict";
import type { ClusterObject, SliceEndpoint } from "../../../src/cluster/objects.ts";
import { IptablesDataPlane } from "../../../src/dataplane/iptables/dataplane.ts";
import { LocalEngine } from "../../../src/engine/local.ts";
import { Lab } from "../../../src/lab/lab.ts";
import { NetworkNamespace } from "../../../src/linux/namespace.ts";
import { Conntrack } from "../../../src/netlink/netfilter/conntrack.ts";
import { requires } from "../../requirements.ts";
import { PATIENCE_MS } from "../../until.ts";
import { apply, service, slice } from "../../services/objects.ts";
import { testPlanner } from "../iptables/plans.ts";

const PODS = ["10.244.1.1", "10.244.1.2"];
const VIP = "10.96.0.10";
const CLIENT = "192.168.50.100";

/** A client outside that sends from one port all the time. */
class Client {
  readonly #socket: Deno.DatagramConn;
  /** An answer that is still waited for. */
  #answer: Promise<[Uint8Array, Deno.Addr]> | null = null;

  constructor(lab: Lab) {
    const { fd } = lab.namespaces.find(({ name }) => name === "client")!;
    this.#socket = listenUdp(fd, CLIENT, 5555);
  }

  /** The name of who answers, or null for silence that lasts so long, milliseconds. */
  async ask(hostname: string, port: number, patienceMs = PATIENCE_MS): Promise<string | null> {
    const question = new TextEncoder().encode("who?");
    await this.#socket.send(question, { transport: "udp", hostname, port });
    this.#answer ??= this.#socket.receive();
    const late = Promise.withResolvers<null>();
    const timer = setTimeout(() => late.resolve(null), patienceMs);
    try {
      const answer = await Promise.race([this.#answer, late.promise]);
      if (answer === null) return null;
      this.#answer = null;
      return new TextDecoder().decode(answer[0]).trim();
    } finally {
      clearTimeout(timer);
    }
  }

  close(): void {
    this.#answer?.catch(() => {});
    this.#socket.close();
  }
}

function listenUdp(namespaceFd: number, hostname: string, port: number): Deno.DatagramConn {
  return NetworkNamespace.fromFd(namespaceFd).run(() =>
    Deno.listenDatagram({ transport: "udp", hostname, port })
  );
}

/** A lab with a UDP server in each pod, whose node is in iptables mode. */
class Bed implements AsyncDisposable {
  readonly #planner = testPlanner();
  readonly client: Client;

  private constructor(readonly lab: Lab, readonly plane: IptablesDataPlane) {
    this.client = new Client(lab);
  }

  static async start(): Promise<Bed> {
    const lab = await Lab.start();
    try {
      const servers = PODS.map((address) => ({
        name: `default/${address}`,
        hostname: address,
        addresses: [address],
        ports: [{ protocol: "UDP" as const, port: 8080 }],
      }));
      assert.deepEqual(await lab.setServers(servers), []);
      const plane = await IptablesDataPlane.start({
        engine: LocalEngine.create(),
        families: ["IPv4"],
        namespaceFd: lab.nodeNamespaceFd,
        canaryPeriodMs: 0,
      });
      return new Bed(lab, plane);
    } catch (error) {
      await lab.stop();
      throw error;
    }
  }

  async sync(...objects: ClusterObject[]): Promise<void> {
    const change = this.#planner.update(apply(...objects));
    await this.plane.sync(this.#planner.plan, change);
  }

  /** The UDP flows that the node knows: who was dialled and who answers. */
  flows(): string[] {
    return this.plane.inside(() => {
      using conntrack = Conntrack.open();
      return conntrack.list({ protocol: 17 }).map(({ original, reply }) =>
        `${original.destination} ${reply.source}`
      ).sort();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.close();
    await this.plane.stop();
    await this.lab.stop();
  }
}

const dns = service("dns", { ports: [{ port: 53, protocol: "UDP" }] });
const to = (...endpoints: (string | SliceEndpoint)[]) =>
  slice("dns", endpoints, { ports: [{ port: 8080, protocol: "UDP" }] });

Deno.test({
  ...requires("UDP flows follow their Service's endpoints", "root", "netns", "iptables"),
  async fn() {
    await using bed = await Bed.start();
    const { client } = bed;
    await bed.sync(dns, to(PODS[0]));
    assert.equal(await client.ask(VIP, 53), PODS[0]);
    assert.equal(await client.ask(PODS[1], 8080), PODS[1]);
    const direct = `${PODS[1]} ${PODS[1]}`;
    assert.deepEqual(bed.flows(), [direct, `${VIP} ${PODS[0]}`].sort());

    // As long as the endpoint serves, its flows stay.
    const leaving = {
      addresses: [PODS[0]],
      conditions: { ready: false, serving: true, terminating: true },
    };
    await bed.sync(to(leaving, PODS[1]));
    assert.equal(await client.ask(VIP, 53), PODS[0]);

    await bed.sync(to(PODS[1]));
    assert.deepEqual(bed.flows(), [direct]);
    assert.equal(await client.ask(VIP, 53), PODS[1]);
    assert.deepEqual(bed.flows(), [direct, `${VIP} ${PODS[1]}`].sort());

    // Without any endpoint, kube-proxy leaves them alone.
    await bed.sync(to());
    assert.deepEqual(bed.flows(), [direct, `${VIP} ${PODS[1]}`].sort());
  },
});

Deno.test({
  ...requires("a flow that began before its Service is found by it", "root", "netns", "iptables"),
  async fn() {
    await using bed = await Bed.start();
    await bed.sync();
    // Someone at the node's address takes the datagrams meanwhile, and says nothing.
    const listener = listenUdp(bed.lab.nodeNamespaceFd, "192.168.50.10", 30053);
    try {
      assert.equal(await bed.client.ask("192.168.50.10", 30053, 500), null);
      const spec = {
        type: "NodePort",
        ports: [{ port: 53, protocol: "UDP", nodePort: 30053 }],
      } as const;
      await bed.sync(service("dns", spec), to(PODS[0]));
      assert.equal(await bed.client.ask("192.168.50.10", 30053), PODS[0]);
    } finally {
      listener.close();
    }
  },
});
