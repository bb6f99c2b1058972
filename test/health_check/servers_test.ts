/** Health check node ports with real requests, in a network namespace that is not this thread's. */

import assert from "node:assert/strict";
import type { ClusterChange } from "../../src/cluster/source.ts";
import type { EndpointSlice, Service } from "../../src/cluster/objects.ts";
import { NamespaceListeners } from "../../src/health_check/namespace_listeners.ts";
import { HealthCheckServers, LISTEN_RETRY_MS } from "../../src/health_check/servers.ts";
import { createNamespace } from "../../src/lab/machine.ts";
import type { NetworkNamespace } from "../../src/linux/namespace.ts";
import type { Planner } from "../../src/plan/planner.ts";
import { FakeClock } from "../agent/fake_clock.ts";
import { testPlanner } from "../dataplane/iptables/plans.ts";
import { requires } from "../requirements.ts";

/** A Service of type LoadBalancer and policy Local, with as many ready endpoints on node1. */
function balanced(
  name: string,
  healthCheckNodePort: number,
  localEndpoints: number,
  policy: "Local" | "Cluster" = "Local",
): [Service, EndpointSlice] {
  const number = healthCheckNodePort - 30000;
  return [{
    kind: "Service",
    metadata: { name, namespace: "shop" },
    spec: {
      type: "LoadBalancer",
      clusterIP: `172.30.0.${number}`,
      clusterIPs: [`172.30.0.${number}`],
      ipFamilies: ["IPv4"],
      externalTrafficPolicy: policy,
      healthCheckNodePort,
      ports: [{ name: "http", protocol: "TCP", port: 80, nodePort: 31000 + number }],
    },
  }, {
    kind: "EndpointSlice",
    metadata: {
      name: `${name}-1`,
      namespace: "shop",
      labels: { "kubernetes.io/service-name": name },
    },
    addressType: "IPv4",
    endpoints: Array.from({ length: localEndpoints + 1 }, (_, i) => ({
      addresses: [`10.180.${number}.${i + 1}`],
      conditions: { ready: true },
      nodeName: i === 0 ? "other" : "node1",
    })),
    ports: [{ name: "http", protocol: "TCP", port: 8080 }],
  }];
}

/** A node with the servers of its health check node ports. */
class Node implements AsyncDisposable {
  readonly #planner: Planner;
  readonly #servers: HealthCheckServers;
  readonly clock = new FakeClock();
  healthy = true;
  /** Times that the problems were others than before. */
  problemChanges = 0;

  constructor(readonly namespace: NetworkNamespace, nodePortAddresses: readonly string[] = []) {
    this.#planner = testPlanner({ nodePortAddresses });
    this.#servers = new HealthCheckServers({
      listeners: (answer) => new NamespaceListeners(namespace.fd, answer),
      nodePortAddresses,
      families: ["IPv4", "IPv6"],
      proxyHealthy: () => this.healthy,
      problemsChanged: () => this.problemChanges++,
      after: (ms, callback) => this.clock.after(ms, callback),
    });
  }

  async update(action: ClusterChange["action"], ...objects: (Service | EndpointSlice)[]) {
    const change = this.#planner.update(objects.map((object) => ({ action, object })));
    await this.#servers.sync(this.#planner.plan, change);
  }

  get problems(): string[] {
    return this.#servers.problems.map(({ object, message }) => `${object}: ${message}`);
  }

  /** Status and Service of an answer in the namespace; null when nothing listens. */
  async ask(address: string, port: number): Promise<[number, string, number] | null> {
    const text = await curl(this.namespace, "-s", `http://${address}:${port}/any/path`);
    if (text === "") return null;
    const status = await curl(
      this.namespace,
      ..."-s -o /dev/null -w %{http_code}".split(" "),
      `http://${address}:${port}`,
    );
    const { service, localEndpoints } = JSON.parse(text);
    return [Number(status), `${service.namespace}/${service.name}`, localEndpoints];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#servers.stop();
    this.namespace.close();
  }
}

async function curl(namespace: NetworkNamespace, ...args: string[]): Promise<string> {
  const child = namespace.run(() =>
    new Deno.Command("curl", { args: ["-m", "60", ...args], stdout: "piped", stderr: "null" })
      .spawn()
  );
  return new TextDecoder().decode((await child.output()).stdout);
}

const NEEDS = ["root", "netns", "curl"] as const;

Deno.test({
  ...requires("servers come, change, move and go with their Services", ...NEEDS),
  async fn() {
    await using node = new Node(createNamespace());
    await node.update("apply", ...balanced("web", 30001, 2), ...balanced("api", 30002, 0));
    assert.deepEqual(await node.ask("127.0.0.1", 30001), [200, "shop/web", 2]);
    assert.deepEqual(await node.ask("[::1]", 30001), [200, "shop/web", 2]);
    assert.deepEqual(await node.ask("127.0.0.1", 30002), [503, "shop/api", 0]);
    // Endpoints change without a new server.
    await node.update("apply", balanced("web", 30001, 1)[1]);
    assert.deepEqual(await node.ask("127.0.0.1", 30001), [200, "shop/web", 1]);
    node.healthy = false;
    assert.equal((await node.ask("127.0.0.1", 30001))?.[0], 503);
    node.healthy = true;
    // Two exchange their ports, and one gives its up.
    await node.update("apply", ...balanced("web", 30002, 1), ...balanced("api", 30001, 3));
    assert.deepEqual(await node.ask("127.0.0.1", 30001), [200, "shop/api", 3]);
    assert.deepEqual(await node.ask("127.0.0.1", 30002), [200, "shop/web", 1]);
    await node.update("apply", balanced("web", 30002, 1, "Cluster")[0]);
    assert.equal(await node.ask("127.0.0.1", 30002), null);
    await node.update("delete", ...balanced("api", 30001, 3));
    assert.equal(await node.ask("127.0.0.1", 30001), null);
    assert.deepEqual([node.problems, node.problemChanges], [[], 0]);
  },
});

Deno.test({
  ...requires("any method is answered, with kube-proxy's headers", ...NEEDS),
  async fn() {
    await using node = new Node(createNamespace());
    await node.update("apply", ...balanced("web", 30001, 1));
    const answer = await curl(
      node.namespace,
      ..."-si --compressed -X DELETE http://127.0.0.1:30001/".split(" "),
    );
    const [head, body] = answer.split("\r\n\r\n");
    assert.match(head, /^HTTP\/1\.1 200 OK\r\n/);
    for (
      const line of [
        "content-type: application/json",
        "x-content-type-options: nosniff",
        "x-load-balancing-endpoint-weight: 1",
      ]
    ) {
      assert.ok(head.toLowerCase().split("\r\n").includes(line), head);
    }
    assert.doesNotMatch(head, /content-encoding/i);
    assert.match(body, /^\{\n\t"service": \{\n\t\t"namespace": "shop",/);
  },
});

Deno.test({
  ...requires("a port that is taken is told, tried again, and in nobody's way", ...NEEDS),
  async fn() {
    const namespace = createNamespace();
    const taken = namespace.run(() => Deno.listen({ hostname: "127.0.0.1", port: 30001 }));
    await using node = new Node(namespace);
    await node.update("apply", ...balanced("web", 30001, 1), ...balanced("api", 30002, 1));
    assert.deepEqual(node.problems, [
      "Service shop/web: cannot listen on [::]:30001: the port is in use; trying again every 5 s",
    ]);
    assert.deepEqual(await node.ask("127.0.0.1", 30002), [200, "shop/api", 1]);
    await node.clock.advance(LISTEN_RETRY_MS);
    await node.update("apply", balanced("api", 30002, 2)[1]);
    assert.equal(node.problems.length, 1);
    assert.equal(node.problemChanges, 1);
    taken.close();
    assert.equal(node.clock.pendingTimers, 1);
    await node.clock.advance(LISTEN_RETRY_MS);
    await node.update("apply");
    assert.deepEqual([node.problems, node.problemChanges], [[], 2]);
    assert.deepEqual(await node.ask("127.0.0.1", 30001), [200, "shop/web", 1]);
    assert.equal(node.clock.pendingTimers, 0);
  },
});

Deno.test({
  ...requires("they answer at the addresses of node ports only, at all or none", ...NEEDS),
  async fn() {
    const namespace = createNamespace();
    // The node's own address is on no link here.
    await using node = new Node(namespace, ["127.0.0.0/8", "192.168.50.0/24", "::1/128"]);
    await node.update("apply", ...balanced("web", 30001, 1));
    assert.match(node.problems.join(), /cannot listen on 192\.168\.50\.10:30001: /);
    assert.equal(await node.ask("127.0.0.1", 30001), null);
    const add = namespace.run(() =>
      new Deno.Command("ip", { args: ["addr", "add", "192.168.50.10/32", "dev", "lo"] }).spawn()
    );
    assert.equal((await add.status).code, 0);
    await node.update("apply");
    assert.deepEqual(node.problems, []);
    assert.deepEqual(await node.ask("127.0.0.1", 30001), [200, "shop/web", 1]);
    assert.deepEqual(await node.ask("192.168.50.10", 30001), [200, "shop/web", 1]);
    assert.deepEqual(await node.ask("[::1]", 30001), [200, "shop/web", 1]);
    assert.equal(await node.ask("127.0.0.2", 30001), null);
  },
});
