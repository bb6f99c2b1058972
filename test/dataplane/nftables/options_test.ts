import assert from "node:assert/strict";
import {
  DEFAULT_NFTABLES_OPTIONS,
  loopbackNetworks,
  nftablesContext,
  type NftablesRuleOptions,
} from "../../../src/dataplane/nftables/options.ts";
import type { Family } from "../../../src/net/address.ts";
import type { NodeInfo } from "../../../src/plan/plan.ts";

const NODE: NodeInfo = {
  name: "node1",
  addresses: ["192.168.50.10", "192.168.50.11"],
  nodePortAddresses: ["192.168.50.10"],
  podNetworks: ["10.244.0.0/16"],
};

function context(options: Partial<NftablesRuleOptions> = {}, family: Family = "IPv4") {
  const plan = { node: NODE, serviceNetworks: ["10.96.0.0/16", "fd00:96::/108"] };
  return nftablesContext(family, plan, { ...DEFAULT_NFTABLES_OPTIONS, ...options });
}

Deno.test("node ports answer on the primary addresses unless told otherwise", () => {
  assert.deepEqual(context().nodePortAddresses, ["192.168.50.10"]);
  assert.equal(context({ nodePortAddresses: [] }).nodePortAddresses, null);
  assert.equal(context({ nodePortAddresses: ["0.0.0.0/0"] }).nodePortAddresses, null);
  // As in kube-proxy: none of the family is as good as no list.
  assert.equal(context({}, "IPv6").nodePortAddresses, null);
});

Deno.test("node ports never answer on loopback addresses", () => {
  const { nodePortAddresses } = context({
    nodePortAddresses: ["127.0.0.0/8", "192.168.50.10/32"],
  });
  assert.deepEqual(nodePortAddresses, ["192.168.50.10"]);
});

Deno.test("what cannot be said in a rule is refused", () => {
  assert.throws(() => context({ masqueradeBit: 32 }), /masquerade bit 32: expected 0 to 31/);
  assert.throws(
    () => context({ localDetection: { by: "bridge", name: "a name too long for a link" } }),
    /expected a name of 1 to 15 characters/,
  );
});

Deno.test("each family has its own networks", () => {
  assert.deepEqual(context().serviceNetworks, {
    kind: "network",
    address: "10.96.0.0",
    prefix: 16,
  });
  assert.deepEqual(context({}, "IPv6").serviceNetworks, {
    kind: "network",
    address: "fd00:96::",
    prefix: 108,
  });
  assert.notEqual(context().ifLocal, null);
  assert.equal(context({}, "IPv6").ifLocal, null);
  assert.equal(context({ masqueradeBit: 31 }).mark, 0x80000000);
});

Deno.test("networks of loopback addresses are told from others that have some", () => {
  const nodePortAddresses = [
    "primary",
    "127.0.0.0/8",
    "0.0.0.0/0",
    "::1/128",
    "::/0",
    "10.0.0.0/8",
  ];
  const options = { ...DEFAULT_NFTABLES_OPTIONS, nodePortAddresses };
  assert.deepEqual(loopbackNetworks(options), ["127.0.0.0/8", "::1/128"]);
  assert.deepEqual(loopbackNetworks(DEFAULT_NFTABLES_OPTIONS), []);
});
