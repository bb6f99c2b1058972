/** Following the addresses of a node's interfaces, in a namespace of its own. */

import assert from "node:assert/strict";
import { followAddresses, interfaceAddresses } from "../../src/agent/addresses.ts";
import { NetworkNamespace } from "../../src/linux/namespace.ts";
import { Rtnetlink } from "../../src/netlink/route/rtnetlink.ts";
import { plannerOf, service } from "../dataplane/ipvs/plans.ts";
import { requires } from "../requirements.ts";

Deno.test({
  ...requires("addresses that come and go are told once for each group", "root", "netns"),
  async fn() {
    using namespace = NetworkNamespace.create();
    using net = namespace.run(() => Rtnetlink.open());
    net.links.createBridge({ name: "br0" });
    const read = () => interfaceAddresses(net.addresses.list());
    const told: (readonly string[])[] = [];
    let heard = Promise.withResolvers<void>();
    using _following = namespace.run(() =>
      followAddresses((addresses) => {
        told.push(addresses);
        heard.resolve();
      }, read)
    );
    net.addresses.add({ link: "br0", address: "192.0.2.1" });
    net.addresses.add({ link: "br0", address: "2001:db8::1" });
    await heard.promise;
    heard = Promise.withResolvers();
    net.addresses.remove({ link: "br0", address: "192.0.2.1" });
    await heard.promise;
    assert.deepEqual(told, [["192.0.2.1", "2001:db8::1"], ["2001:db8::1"]]);
  },
});

Deno.test("addresses of kube-ipvs0 are not the node's", () => {
  const interfaces = [
    { name: "eth0", address: "192.0.2.1" },
    { name: "kube-ipvs0", address: "10.96.0.1" },
  ];
  assert.deepEqual(interfaceAddresses(interfaces), ["192.0.2.1"]);
});

Deno.test("node ports are planned for the addresses that the node has then", () => {
  const planner = plannerOf([
    service("web", "10.96.0.1", [{ port: 80, protocol: "TCP", nodePort: 30080 }], {
      type: "NodePort",
    }),
  ], { nodeAddresses: [] });
  assert.deepEqual(planner.plan.node.nodePortAddresses, []);
  planner.setLocalAddresses(["192.0.2.1", "192.0.2.2"]);
  assert.deepEqual(planner.update([]).node?.nodePortAddresses, ["192.0.2.1", "192.0.2.2"]);
  assert.equal(planner.update([]).node, null);
  planner.setLocalAddresses(["192.0.2.2"]);
  assert.deepEqual(planner.update([]).node?.addresses, ["192.0.2.2"]);
});
