import assert from "node:assert/strict";
import { listenAddresses } from "../../src/health_check/addresses.ts";
import type { Family } from "../../src/net/address.ts";
import { describeNode } from "../../src/plan/node.ts";

const BOTH: readonly Family[] = ["IPv4", "IPv6"];

function addresses(configured: readonly string[], families = BOTH): readonly string[] {
  const { info } = describeNode({
    nodeName: "node1",
    nodeAddresses: ["192.168.50.10", "fd00:50::10", "10.9.9.9"],
    clusterCIDRs: [],
    detectLocalMode: "none",
    masqueradeAll: false,
    nodePortAddresses: configured,
    families,
    scheduler: "random",
  }, null);
  return listenAddresses(info, configured, families);
}

Deno.test("without networks, every address of the families", () => {
  assert.deepEqual(addresses([]), ["::"]);
  assert.deepEqual(addresses([], ["IPv4"]), ["0.0.0.0"]);
  assert.deepEqual(addresses([], ["IPv6"]), ["::"]);
  assert.deepEqual(addresses(["0.0.0.0/0", "::/0", "10.0.0.0/8"]), ["::"]);
});

Deno.test("with networks, the node's addresses in them", () => {
  assert.deepEqual(addresses(["192.168.0.0/16", "fd00:50::/64"]), ["192.168.50.10", "fd00:50::10"]);
  assert.deepEqual(addresses(["127.0.0.0/8", "10.0.0.0/8", "::1/128"]), [
    "127.0.0.1",
    "10.9.9.9",
    "::1",
  ]);
  assert.deepEqual(addresses(["primary"]), ["192.168.50.10", "fd00:50::10"]);
});

Deno.test("a family without networks answers everywhere, beside those of the other", () => {
  assert.deepEqual(addresses(["fd00:50::/64"]), ["0.0.0.0", "fd00:50::10"]);
  assert.deepEqual(addresses(["192.168.0.0/16"]), ["192.168.50.10", "fd00:50::10"]);
});
