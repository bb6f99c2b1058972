/** Virtual servers between plan and kernel. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { memberText, parseMember } from "../../../src/dataplane/ipvs/members.ts";
import { SET_IDS, setName } from "../../../src/dataplane/ipvs/names.ts";
import { addOrder, serverMessages } from "../../../src/dataplane/ipvs/servers.ts";
import type { VirtualServerState } from "../../../src/dataplane/ipvs/state.ts";
import { FAMILIES } from "../../../src/net/address.ts";

const server = (
  scheduler: VirtualServerState["scheduler"],
  reals: readonly (readonly [address: string, weight: number])[],
  rest: Partial<VirtualServerState> = {},
): VirtualServerState => ({
  key: { protocol: "TCP", address: "10.96.0.1", port: 80 },
  scheduler,
  flags: [],
  persistenceSeconds: null,
  realServers: reals.map(([address, weight]) => ({ address, port: 8080, weight })),
  ...rest,
});

const EIGHT = Array.from({ length: 8 }, (_, i) => [`10.244.0.${i}`, 1] as const);

Deno.test("nodes take turns from different endpoints on, but agree where they hash", () => {
  const first = (node: string, scheduler: VirtualServerState["scheduler"]) =>
    addOrder(server(scheduler, EIGHT), node).at(-1)!.address;
  const nodes = Array.from({ length: 64 }, (_, i) => `node-${i}`);
  for (const scheduler of ["rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sed", "nq"] as const) {
    assert.equal(new Set(nodes.map((node) => first(node, scheduler))).size, 8, scheduler);
  }
  for (const scheduler of ["sh", "dh", "mh", "fo", "ovf"] as const) {
    assert.equal(new Set(nodes.map((node) => first(node, scheduler))).size, 1, scheduler);
  }
  const order = addOrder(server("rr", EIGHT), "a").map(({ address }) => address);
  assert.deepEqual([...order].sort(), EIGHT.map(([address]) => address), "each once");
});

Deno.test("what makes a virtual server into another is no more than differs", () => {
  const verbs = (before: VirtualServerState | null, after: VirtualServerState) =>
    serverMessages(before, after, "IPv4", "a").changes
      .map(({ verb, real }) => real === undefined ? verb : `${verb} ${real.address}`);
  const two = server("rr", [["10.244.0.1", 1], ["10.244.0.2", 1]]);
  assert.deepEqual(verbs(two, two), []);
  assert.deepEqual(verbs(two, server("sh", [["10.244.0.1", 1], ["10.244.0.2", 1]])), ["update"]);
  assert.deepEqual(verbs(two, { ...two, persistenceSeconds: 60 }), ["update"]);
  assert.deepEqual(verbs(two, server("rr", [["10.244.0.1", 5], ["10.244.0.3", 1]])).sort(), [
    "add 10.244.0.3",
    "update 10.244.0.1",
    // It gets no more connections, and goes when it has none.
    "update 10.244.0.2",
  ]);
  const udp = { protocol: "UDP", address: "10.96.0.1", port: 53 } as const;
  const { changes, leaving } = serverMessages(
    { ...two, key: udp },
    { ...two, key: udp, realServers: [] },
    "IPv4",
    "a",
  );
  assert.deepEqual(changes.map(({ verb }) => verb), ["remove", "remove"]);
  assert.deepEqual(leaving, []);
  const dh = { ...two, scheduler: "dh" } as const;
  // It would go on choosing it, and refuse everybody.
  assert.deepEqual(verbs(dh, { ...dh, realServers: [] }), [
    "remove 10.244.0.1",
    "remove 10.244.0.2",
  ]);
});

Deno.test("entries of sets are read as they are written", () => {
  const address = fc.constantFrom("10.96.0.1", "fd00:96::1");
  const place = fc.tuple(fc.constantFrom("tcp", "udp", "sctp"), fc.integer({ min: 1, max: 65535 }))
    .map(([protocol, port]) => `${protocol}:${port}`);
  const entry = fc.oneof(
    address,
    fc.integer({ min: 0, max: 65535 }).map(String),
    fc.tuple(address, place).map((parts) => parts.join()),
    fc.tuple(address, place, address).map((parts) => parts.join()),
    fc.tuple(address, place, fc.constantFrom("10.0.0.0/8", "0.0.0.0/1", "fd00::/64"))
      .map((parts) => parts.join()),
  );
  fc.assert(fc.property(entry, (text) => assert.equal(memberText(parseMember(text)), text)));
  const listed = { address: "10.96.0.1", protocol: 6, port: 80, address2: "10.0.0.1", prefix2: 32 };
  assert.equal(memberText(listed), "10.96.0.1,tcp:80,10.0.0.1");
});

Deno.test("names of sets are kube-proxy's, fit the kernel, and are different", () => {
  const names = FAMILIES.flatMap((family) => SET_IDS.map((id) => setName(id, family)));
  assert.equal(new Set(names).size, names.length);
  assert.ok(names.every((name) => name.length <= 31));
  assert.equal(setName("sourceCIDR", "IPv6"), "KUBE-6-LOAD-BALANCER-SOURCE-CID");
  assert.equal(setName("nodePortLocalSCTP", "IPv6"), "KUBE-6-NODE-PORT-LOCAL-SCTP-HAS");
});
