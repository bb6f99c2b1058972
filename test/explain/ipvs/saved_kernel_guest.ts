/**
 * Whether programs print of a node what netlink tells of it: the same state comes of both.
 * integration/vm/ipvs_test.ts runs this in the virtual machine.
 *
 * @module
 */

import assert from "node:assert/strict";
import { readNode } from "../../../src/dataplane/ipvs/read.ts";
import { readTables } from "../../../src/dataplane/ipvs/rules.ts";
import { parseIpvsSave } from "../../../src/explain/ipvs/save_text.ts";
import { parseSavedSets, SavedKernel } from "../../../src/explain/ipvs/saved_kernel.ts";
import { FAMILIES } from "../../../src/net/address.ts";
import { everything, TestNode } from "../../dataplane/ipvs/node.ts";
import { plannerOf, service, slice } from "../../dataplane/ipvs/plans.ts";

const HTTP = [{ name: "http", port: 80, protocol: "TCP", nodePort: 30080 }];
const DNS = [{ port: 53, protocol: "UDP" }];

const OBJECTS = [
  service("web", "10.96.0.1", HTTP, {
    type: "LoadBalancer",
    externalTrafficPolicy: "Local",
    externalIPs: ["198.51.100.7"],
    loadBalancerSourceRanges: ["10.0.0.0/8", "192.168.50.9/32", "0.0.0.0/0"],
    healthCheckNodePort: 32000,
    status: { loadBalancer: { ingress: [{ ip: "203.0.113.1" }] } },
  }),
  slice("web", [{ name: "http", port: 8080, protocol: "TCP" }], ["10.244.0.1", "10.244.0.2"]),
  service("six", "fd00:96::1", DNS, {
    ipFamilies: ["IPv6"],
    type: "LoadBalancer",
    sessionAffinity: "ClientIP",
    loadBalancerSourceRanges: ["fd00:50::/64", "fd00:51::1/128"],
    status: { loadBalancer: { ingress: [{ ip: "2001:db8::9" }] } },
  }),
  slice("six", DNS, ["fd00:244::1", "fd00:244::2"]),
  service("none", "10.96.0.4", DNS),
  service("sctp", "10.96.0.3", [{ port: 9, protocol: "SCTP", nodePort: 30009 }], {
    type: "NodePort",
  }),
];

Deno.test("what programs print of a node is what netlink tells of it", async () => {
  const nodeAddresses = ["192.168.50.10", "fd00:50::10"];
  using node = new TestNode(nodeAddresses);
  const planner = plannerOf(OBJECTS);
  const mode = await node.start();
  await mode.plane.sync(planner.plan, everything(planner.plan));
  // Of others, and at an address of ours: with what we never set.
  const server = { address: "10.96.0.1", port: 81, protocol: 17 };
  node.ipvs.change({
    verb: "add",
    server: {
      ...server,
      scheduler: "rr",
      onePacket: true,
      persistence: { timeout: 60, prefix: 24 },
    },
  });
  const real = { address: "10.244.0.9", port: 81, weight: 3, method: "direct" } as const;
  node.ipvs.change({ verb: "add", server, real });
  const kernel = new SavedKernel({
    servers: parseIpvsSave(await node.output("ipvsadm-save", "-n")),
    sets: parseSavedSets(await node.output("ipset", "save")),
    nodeAddresses,
  });
  for (const family of FAMILIES) {
    const { state, saved } = await mode.plane.read(family);
    const tables = readTables(saved, family);
    const printed = readNode(kernel, tables, family, { known: new Set(), excluded: [] });
    assert.deepEqual(printed, state);
    assert.ok(state.servers.size > 1 && state.sets.size > 20, family);
  }
  await mode.plane.stop();
});
