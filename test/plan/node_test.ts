import assert from "node:assert/strict";
import { describeNode } from "../../src/plan/node.ts";
import { node } from "../services/objects.ts";
import { config } from "./config.ts";

Deno.test("given addresses come before the Node object's", () => {
  const object = node("lab-node", {}, ["192.168.50.20", "fd00:50::20"]);
  const given = describeNode(config({ nodeAddresses: ["192.168.050.010"] }), object);
  assert.deepEqual(given.info.addresses, ["192.168.50.10"]);
  assert.deepEqual(given.primary, { IPv4: "192.168.50.10", IPv6: "::1" });
  const own = describeNode(config({ nodeAddresses: [] }), object);
  assert.deepEqual(own.info.addresses, ["192.168.50.20", "fd00:50::20"]);
});

Deno.test("a bind address is the primary address of its family, and the node keeps all others", () => {
  const object = node("lab-node", {}, ["192.168.50.20", "fd00:50::20"]);
  const nodePortAddresses = ["192.168.50.0/24", "fd00:50::/64"];
  const bound = (primaryAddress: string) =>
    describeNode(
      config({
        nodeAddresses: [],
        primaryAddress,
        nodePortAddresses,
        localAddresses: ["192.168.50.20", "192.168.60.20", "172.17.0.1", "fd00:50::20"],
      }),
      object,
    );
  const { info, primary } = bound("192.168.60.20");
  assert.deepEqual(primary, { IPv4: "192.168.60.20", IPv6: "fd00:50::20" });
  const all = ["192.168.60.20", "fd00:50::20", "192.168.50.20", "172.17.0.1"];
  assert.deepEqual(info.addresses, all);
  assert.deepEqual(info.nodePortAddresses, ["fd00:50::20", "192.168.50.20"]);
  assert.deepEqual(bound("fd00:60::20").primary, { IPv4: "192.168.50.20", IPv6: "fd00:60::20" });
});

Deno.test("internal addresses come before external ones, names are none", () => {
  const object = {
    ...node("lab-node"),
    status: {
      addresses: [
        { type: "Hostname", address: "lab-node" },
        { type: "ExternalIP", address: "203.0.113.99" },
        { type: "InternalIP", address: "192.168.50.20" },
        { type: "InternalIP", address: "not an address" },
        { type: "InternalIP", address: "fd00:50::20" },
      ],
    },
  };
  const { info, primary } = describeNode(config({ nodeAddresses: [] }), object);
  assert.deepEqual(info.addresses, ["192.168.50.20", "fd00:50::20", "203.0.113.99"]);
  assert.deepEqual(primary, { IPv4: "192.168.50.20", IPv6: "fd00:50::20" });
});

Deno.test("a node without addresses decides as loopback, which is not among its addresses", () => {
  const { info, primary } = describeNode(config({ nodeAddresses: [] }), null);
  assert.deepEqual(info.addresses, []);
  assert.deepEqual(primary, { IPv4: "127.0.0.1", IPv6: "::1" });
  const loopback = describeNode(config({ nodeAddresses: ["127.0.0.1", "192.168.50.10"] }), null);
  assert.deepEqual(loopback.info.addresses, ["192.168.50.10"]);
  assert.equal(loopback.primary.IPv4, "127.0.0.1");
});

Deno.test("the primary address of each family comes first, interface addresses last", () => {
  const { info } = describeNode(
    config({
      nodeAddresses: ["192.168.50.10", "192.168.60.10", "fd00:50::10"],
      localAddresses: ["127.0.0.1", "192.168.60.10", "172.17.0.1", "::1"],
    }),
    null,
  );
  assert.deepEqual(info.addresses, ["192.168.50.10", "fd00:50::10", "192.168.60.10", "172.17.0.1"]);
});

Deno.test("node port addresses", async (t) => {
  const nodeAddresses = ["192.168.50.10", "192.168.60.10", "fd00:50::10", "fd00:60::10"];
  const [first4, second4, first6, second6] = nodeAddresses;
  const cases: [string[], string[]][] = [
    [[], nodeAddresses],
    [["primary"], [first4, first6]],
    [["192.168.60.0/24"], [second4, first6, second6]],
    [["fd00:50::/64"], [first4, second4, first6]],
    [["192.168.60.0/24", "fd00:60::/64"], [second4, second6]],
    [["0.0.0.0/0", "10.0.0.0/8", "fd00:99::/64"], [first4, second4]],
    [["10.0.0.0/8", "::/0"], [first6, second6]],
  ];
  for (const [nodePortAddresses, expected] of cases) {
    await t.step(nodePortAddresses.join(" ") || "all", () => {
      const { info } = describeNode(config({ nodeAddresses, nodePortAddresses }), null);
      assert.deepEqual([...info.nodePortAddresses].sort(), [...expected].sort());
    });
  }
  await t.step("primary without addresses is nowhere", () => {
    const lone = config({ nodeAddresses: [], nodePortAddresses: ["primary"] });
    const { info } = describeNode({ ...lone, localAddresses: ["172.17.0.1"] }, null);
    assert.deepEqual(info.nodePortAddresses, []);
  });
});

Deno.test("pods are recognised by the first network of each family", () => {
  const networks = ["10.1.0.0/16", "10.2.0.0/16", "fd00:1::/48", "fd00:2::/48"];
  const cluster = describeNode(config({ clusterCIDRs: networks }), null);
  assert.deepEqual(cluster.info.podNetworks, ["10.1.0.0/16", "fd00:1::/48"]);
  assert.deepEqual(cluster.detects, ["IPv4", "IPv6"]);
  const object = node("lab-node", {}, [], ["10.3.0.0/24"]);
  const byNode = describeNode(config({ detectLocalMode: "NodeCIDR" }), object);
  assert.deepEqual(byNode.info.podNetworks, ["10.3.0.0/24"]);
  assert.deepEqual(byNode.detects, ["IPv4"]);
  const none = describeNode(config({ detectLocalMode: "none" }), object);
  assert.deepEqual([none.info.podNetworks, none.detects], [[], []]);
  const bridge = describeNode(config({ detectLocalMode: "BridgeInterface" }), object);
  assert.deepEqual([bridge.info.podNetworks, bridge.detects], [[], ["IPv4", "IPv6"]]);
});

Deno.test("a configured address or network that is none is an error that names it", () => {
  const wrong = [
    config({ nodeAddresses: ["192.168.50"] }),
    config({ localAddresses: ["eth0"] }),
    config({ clusterCIDRs: ["10.244.0.0/33"] }),
    config({ nodePortAddresses: ["primary", "192.168.0.0/24"] }),
  ];
  const names = ["192.168.50", "eth0", "10.244.0.0/33", "primary"];
  for (const [index, each] of wrong.entries()) {
    assert.throws(
      () => describeNode(each, null),
      (error) => error instanceof TypeError && error.message.includes(JSON.stringify(names[index])),
    );
  }
});
