import assert from "node:assert/strict";
import {
  cluster,
  endpointChange,
  ENDPOINTS,
  extraService,
  type ObjectChange,
  POD_NETWORK,
} from "../../bench/sync_cluster.ts";
import { networkContains, parseNetwork } from "../../src/net/address.ts";
import { testPlanner } from "../dataplane/iptables/plans.ts";

function podsOf(changes: Iterable<ObjectChange>): string[] {
  return [...changes].flatMap(({ object }) =>
    object.kind === "EndpointSlice" ? object.endpoints.flatMap(({ addresses }) => addresses) : []
  );
}

Deno.test("10,000 Services have ten endpoints each, and no address twice", () => {
  const services = 10_000;
  const changes = [...cluster(services)];
  const pods = podsOf(changes);
  const vips = changes.flatMap(({ object }) =>
    object.kind === "Service" ? object.spec.clusterIP! : []
  );
  assert.equal(vips.length, services);
  assert.equal(pods.length, services * ENDPOINTS);
  assert.equal(new Set([...vips, ...pods]).size, vips.length + pods.length);
  const network = parseNetwork(POD_NETWORK)!;
  assert.ok(pods.every((pod) => networkContains(network, pod)));
  assert.ok(!vips.some((vip) => networkContains(network, vip)));
});

Deno.test("each round changes one endpoint of one Service and nothing else", () => {
  const services = 50;
  const planner = testPlanner({ families: ["IPv4"] });
  assert.deepEqual(planner.update([...cluster(services)]).udp, []);
  assert.equal(planner.plan.services.size, services);
  const known = new Set(podsOf(cluster(services)));
  for (let round = 0; round < 5; round++) {
    const before = new Map(planner.plan.services);
    const { updated, removed } = planner.update(endpointChange(services, round));
    assert.deepEqual([updated.length, removed.length], [1, 0]);
    const [{ namespace, name, ports: [port] }] = updated;
    const former = before.get(`${namespace}/${name}`)!.ports[0].endpoints;
    const fresh = port.endpoints.filter(({ address }) =>
      !former.some((endpoint) => endpoint.address === address)
    );
    assert.equal(port.endpoints.length, ENDPOINTS);
    assert.equal(fresh.length, 1);
    assert.ok(!known.has(fresh[0].address));
    known.add(fresh[0].address);
  }
});

Deno.test("the extra Service comes and goes", () => {
  const planner = testPlanner({ families: ["IPv4"] });
  planner.update([...cluster(3)]);
  const added = planner.update(extraService(3, "apply"));
  assert.equal(added.updated[0].ports[0].endpoints.length, ENDPOINTS);
  assert.equal(planner.plan.services.size, 4);
  const deleted = planner.update(extraService(3, "delete"));
  assert.deepEqual(deleted.removed, ["bench/service-00003"]);
});
