/** What a preview says of workloads, which controllers make pods and endpoints of. */

import assert from "node:assert/strict";
import { loadManifests } from "../../src/cluster/manifests/load.ts";
import { EXAMPLES } from "../commands/cli.ts";
import { RealState, slice } from "./real_state.ts";
import { type Difference, json, preview, served } from "./previews.ts";

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
