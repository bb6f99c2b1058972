/** The agent as a process of its own that follows an API server, on a node that is a namespace. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { NetworkNamespace } from "../../src/linux/namespace.ts";
import { Rtnetlink } from "../../src/netlink/route/rtnetlink.ts";
import { ApiDouble } from "../cluster/kubernetes/api_double.ts";
import { requires } from "../requirements.ts";
import { until } from "../until.ts";
import { Program } from "./processes.ts";

const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));

/** Routing table of userspace mode: a host route for each Service address. */
const SERVICE_TABLE = 10256;

const service = (name: string, clusterIP: string) => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { name, namespace: "default", uid: name },
  spec: { type: "ClusterIP", clusterIP, clusterIPs: [clusterIP], ports: [{ port: 80 }] },
});

Deno.test({
  ...requires("run follows the Services of an API server", "root", "netns", "tun"),
  async fn() {
    using namespace = NetworkNamespace.create();
    using net = namespace.run(() => Rtnetlink.open());
    net.links.setUp("lo");
    // A server that is opened in the namespace stays there.
    await using api = namespace.run(() => new ApiDouble());
    api.put(service("first", "10.96.0.1"));
    const program = new Program(
      [
        MAIN,
        "run",
        `--master=${api.url}`,
        "--proxy-mode=userspace",
        "--hostname-override=node-1",
        "--node-ip=192.0.2.10",
        "--output=json",
        ...["healthz", "metrics", "api"].map((name) => `--${name}-bind-address=`),
      ],
      {},
      namespace,
    );
    const routed = () =>
      net.routes.list({ table: SERVICE_TABLE }).map((route) => route.destination).sort();
    try {
      const serving = JSON.parse(await program.line());
      assert.deepEqual([serving.services, serving.mode, serving.programming], [
        1,
        "userspace",
        true,
      ]);
      assert.deepEqual(routed(), ["10.96.0.1/32"]);
      api.put(service("second", "10.96.0.2"));
      api.remove("Service", "default/first");
      await until(() => routed().join() === "10.96.0.2/32", "a route to the second only");
      program.signal("SIGINT");
      assert.equal((await program.end()).code, 0);
      assert.deepEqual(routed(), []);
    } finally {
      await program.kill();
    }
  },
});
