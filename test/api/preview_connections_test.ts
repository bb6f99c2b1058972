/** What a preview says of connections. */

import assert from "node:assert/strict";
import type { ClusterObject } from "../../src/cluster/objects.ts";
import type { Connection } from "../../src/netlink/netfilter/conntrack.ts";
import { SYN } from "../engine/packets.ts";
import { RealState, slice, web } from "./real_state.ts";
import { json, preview, served } from "./previews.ts";

Deno.test("the engine's connections that a change would touch", async () => {
  const state = await served("userspace");
  for (let i = 0; i < 6; i++) {
    const dest = i < 3 ? "10.0.1.175" : "10.0.1.176";
    state.send({ source: "10.180.0.77", sourcePort: 40_000 + i, dest, port: 80, flags: SYN });
  }
  const { json: answer } = await preview(state, {
    objects: [json(slice("web", ["10.180.0.1"]))],
    delete: [{ kind: "Service", namespace: "default", name: "other" }],
  });
  const { trackedBy, totals, looked, complete, items } = answer.connections;
  assert.deepEqual([trackedBy, looked, complete], ["engine", 6, true]);
  // Two of web's three go to backends that leave; other's address is led to the engine no more.
  assert.deepEqual(totals, { moves: 0, orphaned: 2, ends: 3 });
  const orphaned = items.filter(({ effect }: { effect: string }) => effect === "orphaned");
  assert.match(
    orphaned[0].reason,
    /^10\.180\.0\.[23]:8080 would be no endpoint of default\/web:http/,
  );
  assert.equal(orphaned[0].connection.service, "default/web:http");
});

/** A connection of the kernel to web's cluster IP; without a backend it was never translated. */
function tracked(protocol: "TCP" | "UDP", backend: string | null, port = 80): Connection {
  const number = protocol === "TCP" ? 6 : 17;
  return {
    family: "IPv4",
    original: {
      source: "10.180.0.77",
      sourcePort: 40_000,
      destination: "10.0.1.175",
      destinationPort: port,
      protocol: number,
    },
    reply: {
      source: backend ?? "10.0.1.175",
      sourcePort: backend === null ? port : 8080,
      destination: "10.180.0.77",
      destinationPort: 40_000,
      protocol: number,
    },
    zone: 0,
    id: 1,
    status: 0,
    mark: 0,
    timeout: 60,
    tcpState: null,
    startedAtMs: null,
    counters: null,
  };
}

function withConnections(state: RealState, ...connections: readonly Connection[]): RealState {
  state.node = {
    async *connections() {
      yield await Promise.resolve(connections);
    },
  };
  return state;
}

const asUdp = <T>(objects: T): T =>
  JSON.parse(JSON.stringify(objects).replaceAll('"TCP"', '"UDP"'));

type Conditions = { ready?: boolean; serving?: boolean; terminating?: boolean };

/** web's slice, with these conditions of its endpoints 10.180.0.1 and following. */
function conditioned(...conditions: readonly Conditions[]): ClusterObject {
  const one = slice("web", conditions.map((_, i) => `10.180.0.${i + 1}`));
  assert.ok(one.kind === "EndpointSlice");
  const endpoints = one.endpoints.map((end, i) => ({ ...end, conditions: conditions[i] }));
  return { ...one, endpoints };
}

const DRAINING = { ready: false, serving: true, terminating: true };
const GONE = { ready: false, serving: false, terminating: true };

Deno.test("the kernel's connections: UDP moves on, TCP stays", async () => {
  const state = withConnections(
    await served(),
    tracked("TCP", "10.180.0.2"),
    tracked("TCP", "10.180.0.1"),
    tracked("UDP", "10.180.0.2"),
  );
  const { json: tcp } = await preview(state, { objects: [json(slice("web", ["10.180.0.1"]))] });
  assert.deepEqual(tcp.connections.totals, { moves: 0, orphaned: 1, ends: 0 });
  await state.apply(asUdp(web()));
  const after = asUdp(json(slice("web", ["10.180.0.1"])));
  const { json: answer } = await preview(state, { objects: [after] });
  assert.equal(answer.connections.trackedBy, "kernel");
  assert.deepEqual(answer.connections.totals, { moves: 1, orphaned: 0, ends: 0 });
});

for (
  const [what, before, after, expected] of [
    ["a TCP endpoint that begins to end", [{}, {}], [{}, DRAINING], "orphaned"],
    ["a TCP endpoint that is not ready any more", [{}, {}], [{}, { ready: false }], "orphaned"],
    ["a TCP endpoint that was ending already", [{}, DRAINING], [{}, GONE], null],
    ["a TCP endpoint that is all that is left", [{}, {}], [GONE, DRAINING], null],
    ["a TCP endpoint that is there no more", [{}, DRAINING], [{}], "orphaned"],
    ["a UDP endpoint that ends and serves", [{}, {}], [{}, DRAINING], "orphaned"],
    ["a UDP endpoint that serves no more", [{}, DRAINING], [{}, GONE], "moves"],
    ["a UDP endpoint that was the last one to serve", [{}, {}], [GONE, GONE], "orphaned"],
  ] as [string, Conditions[], Conditions[], string | null][]
) {
  Deno.test(`what becomes of connections: ${what}`, async () => {
    const protocol = what.includes("UDP") ? "UDP" : "TCP";
    const own = <T>(object: T) => protocol === "UDP" ? asUdp(object) : object;
    const state = withConnections(await served(), tracked(protocol, "10.180.0.2"));
    await state.apply(own([web()[0], conditioned(...before)]));
    const { json: answer } = await preview(state, { objects: [json(own(conditioned(...after)))] });
    const effects = answer.connections.items.map(({ effect }: { effect: string }) => effect);
    assert.deepEqual(effects, expected === null ? [] : [expected]);
  });
}

Deno.test("UDP flows that went to nobody go to the first endpoint, TCP ones do not", async () => {
  const state = withConnections(
    await served(),
    tracked("UDP", null),
    tracked("TCP", null),
    tracked("UDP", null, 81),
  );
  await state.apply(asUdp([web()[0], slice("web", [])]));
  const { json: answer } = await preview(state, {
    objects: [json(asUdp(slice("web", ["10.180.0.1"])))],
  });
  assert.deepEqual(answer.connections.totals, { moves: 1, orphaned: 0, ends: 0 });
  assert.equal(
    answer.connections.items[0].reason,
    "it went to no endpoint, and default/web:http would have one",
  );
  const { json: more } = await preview(
    withConnections(await served(), tracked("UDP", null)),
    { objects: [json(slice("web", ["10.180.0.9"]))] },
  );
  assert.deepEqual(more.connections.totals, { moves: 0, orphaned: 0, ends: 0 });
});

Deno.test("a Service that goes takes connections with it where IPVS forwards", async () => {
  const gone = { delete: [{ kind: "Service", name: "web" }] };
  const kept = withConnections(await served("iptables"), tracked("TCP", "10.180.0.2"));
  const { json: orphaned } = await preview(kept, gone);
  assert.deepEqual(orphaned.connections.totals, { moves: 0, orphaned: 1, ends: 0 });
  const ipvs = withConnections(await served("ipvs"), tracked("TCP", "10.180.0.2"));
  const { json: ended } = await preview(ipvs, gone);
  assert.deepEqual(ended.connections.totals, { moves: 0, orphaned: 0, ends: 1 });
});
