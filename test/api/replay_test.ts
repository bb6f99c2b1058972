import assert from "node:assert/strict";
import { ACK, buildIcmpError, FIN, RST, SYN } from "../engine/packets.ts";
import { ethernet, writePcap, writePcapng } from "../capture/writer.ts";
import { answer, captureOf, frame, type Sent } from "../replay/captures.ts";
import { type Reply, withQueryApi } from "./http.ts";
import { plain, RealState, slice, web } from "./real_state.ts";
import type { ReplayLimits } from "../../src/api/replay.ts";

const PATH = "/api/v1/replay";
const PCAP = "application/vnd.tcpdump.pcap";
const CLIENT = "203.0.113.9";
const VIP = "10.0.1.175";

const upload = (body: BodyInit, type = PCAP): RequestInit => ({
  method: "POST",
  body,
  headers: { "content-type": type },
});

async function served(mode: "iptables" | "userspace" = "iptables"): Promise<RealState> {
  const state = new RealState(mode);
  await state.apply([
    ...web(),
    plain("empty", "10.0.1.176"),
    plain("other", "10.0.1.177"),
    slice("other", ["10.180.0.9"]),
  ]);
  return state;
}

async function replay(
  state: RealState,
  file: Uint8Array<ArrayBuffer>,
  query = "",
  limits: Partial<ReplayLimits> = {},
): Promise<Reply> {
  let reply: Reply | null = null;
  await withQueryApi(state, async (ask) => {
    reply = await ask(PATH + query, upload(file));
  }, { replay: limits });
  return reply!;
}

/** A whole conversation of TCP. */
function conversation(sourcePort: number, more: Partial<Sent> = {}): Sent[] {
  const to: Sent = { source: CLIENT, sourcePort, dest: VIP, port: 80, ...more };
  const payload = new Uint8Array(100);
  return [
    { ...to, flags: SYN, seq: 100 },
    answer(to, { flags: SYN | ACK, seq: 900, ack: 101 }),
    { ...to, flags: ACK, seq: 101, ack: 901 },
    { ...to, flags: ACK, seq: 101, ack: 901, payload },
    answer(to, { flags: ACK, seq: 901, ack: 201, payload }),
    { ...to, flags: ACK | FIN, seq: 201, ack: 1001 },
    answer(to, { flags: ACK | FIN, seq: 1001, ack: 202 }),
    { ...to, flags: ACK, seq: 202, ack: 1002 },
  ].map((packet, i) => ({ ...packet, atMs: i * 10 }));
}

for (const mode of ["iptables", "userspace"] as const) {
  Deno.test(`a conversation is one connection, with its answers, in ${mode} mode`, async () => {
    const { status, json } = await replay(await served(mode), captureOf(...conversation(40_000)));
    assert.equal(status, 200, JSON.stringify(json));
    assert.deepEqual([json.format, json.packets, json.complete, json.durationMs], [
      "pcap",
      8,
      true,
      70,
    ]);
    assert.deepEqual([json.unmatchedTotal.packets, json.skipped], [0, {}]);
    assert.equal(json.connectionsTotal, 1);
    const [{ backend, reason, ...connection }] = json.connections;
    assert.match(backend.address, /^10\.180\.0\.[123]$/);
    assert.match(reason, /^policy Cluster, scheduler random over 3 backends$/);
    assert.deepEqual(connection, {
      protocol: "TCP",
      client: { address: CLIENT, port: 40_000 },
      frontend: { address: VIP, port: 80, kind: "ClusterIP" },
      service: "default/web:http",
      verdict: "FORWARD",
      masqueraded: true,
      startedAt: "2023-11-14T22:13:20.000Z",
      durationMs: 70,
      original: { packets: 5, bytes: 5 * 40 + 100 },
      replies: { packets: 3, bytes: 3 * 40 + 100 },
      dropped: {},
    });
    assert.deepEqual(json.backends, [{
      service: "default/web:http",
      protocol: "TCP",
      backend,
      connections: 1,
      share: 1,
      packets: 8,
      bytes: 520,
    }]);
  });
}

Deno.test("connections are spread over the backends, the same with the same seed", async () => {
  const file = captureOf(...Array.from({ length: 60 }, (_, i) => conversation(40_000 + i)).flat());
  const state = await served();
  const { json } = await replay(state, file);
  assert.equal(json.connectionsTotal, 60);
  assert.equal(json.backends.length, 3);
  const sum = (field: string) =>
    json.backends.reduce((total: number, one: Record<string, number>) => total + one[field], 0);
  assert.equal(sum("connections"), 60);
  assert.ok(Math.abs(sum("share") - 1) < 1e-9);
  assert.deepEqual((await replay(state, file)).json, json);
  assert.notDeepEqual((await replay(state, file, "?seed=2")).json.connections, json.connections);
  const { json: few } = await replay(state, file, "?limit=5");
  assert.deepEqual([few.connections.length, few.connectionsTotal], [5, 60]);
});

Deno.test("the same ends again, after the end, are another connection", async () => {
  const [syn] = conversation(40_000);
  const again = { ...syn, seq: 5_000_000, atMs: 200_000 };
  const { json } = await replay(await served(), captureOf(...conversation(40_000), again));
  assert.equal(json.connectionsTotal, 2);
  assert.deepEqual(
    json.connections.map((one: Record<string, { packets: number }>) => one.original.packets),
    [5, 1],
  );
  assert.match(json.connections[1].reason, /^policy Cluster/);
});

Deno.test("what is refused or dropped says why", async () => {
  const packets: Sent[] = [
    { source: CLIENT, sourcePort: 1, dest: "10.0.1.176", port: 80, flags: SYN },
    // Not of the load balancer's source ranges.
    { source: "192.0.2.9", sourcePort: 2, dest: "198.51.100.8", port: 80, flags: SYN },
    // The end of a connection.
    { source: CLIENT, sourcePort: 3, dest: VIP, port: 80, flags: RST },
    answer({ source: CLIENT, sourcePort: 3, dest: VIP, port: 80 }, { flags: ACK }),
  ];
  const { json } = await replay(await served(), captureOf(...packets));
  assert.deepEqual(
    json.connections.map((one: Record<string, unknown>) => [
      one.verdict,
      one.service,
      one.backend,
      one.reason,
      one.dropped,
    ]),
    [
      ["REJECT", "default/empty:http", null, "default/empty:http has no endpoints", {}],
      [
        "DROP",
        "default/web:http",
        null,
        "192.0.2.9 is in none of the source ranges of default/web:http",
        { "drop: source_range": 1 },
      ],
      [
        "DROP",
        "default/web:http",
        null,
        "its first packet is no SYN: it began before the capture",
        { "drop: tcp_not_syn": 1 },
      ],
    ],
  );
  assert.equal(json.connections[2].replies.packets, 1);
  assert.deepEqual(json.backends, []);
});

Deno.test("packets that matched nothing are counted by where they went", async () => {
  const elsewhere: Sent = { source: CLIENT, sourcePort: 7, dest: "192.0.2.1", port: 443 };
  const behind: Sent = { source: "10.180.0.2", sourcePort: 8080, dest: CLIENT, port: 9 };
  const icmp = buildIcmpError({ source: CLIENT, dest: VIP }, 8, 0, 0, new Uint8Array(8));
  const file = writePcap([
    frame({ ...elsewhere, flags: SYN }),
    frame(answer(elsewhere, { flags: SYN | ACK })),
    frame({ ...elsewhere, sourcePort: 8, flags: SYN }),
    // The first that was seen of it is an answer of an endpoint.
    frame({ ...behind, flags: ACK }),
    frame(answer(behind, { flags: ACK })),
    { data: ethernet(icmp.subarray(12)), timeNs: 0n },
    { data: new Uint8Array(60).fill(0xff), timeNs: 0n },
    { data: ethernet(Uint8Array.of(0x45, 0, 0)), timeNs: 0n },
  ]);
  const { json } = await replay(await served(), file);
  assert.equal(json.connectionsTotal, 0);
  assert.deepEqual(json.unmatched.map(({ bytes: _, ...rest }: { bytes: number }) => rest), [
    {
      protocol: "TCP",
      dest: { address: "192.0.2.1", port: 443 },
      reason: "no Service has a frontend at 192.0.2.1:443/TCP",
      packets: 3,
    },
    {
      protocol: "TCP",
      dest: { address: "10.180.0.2", port: 8080 },
      reason: "behind the proxy: an endpoint of default/web:http",
      packets: 2,
    },
    { protocol: "ICMP", dest: null, reason: "pass: protocol", packets: 1 },
  ]);
  assert.deepEqual(json.unmatchedTotal.packets, 6);
  assert.deepEqual(json.skipped, { "ethertype 0xffff": 1, "cut in its headers": 1 });
});

Deno.test("captures that are cut, in both families, without checksums, are replayed", async () => {
  const whole = frame({
    source: CLIENT,
    sourcePort: 40_000,
    dest: VIP,
    port: 80,
    flags: SYN,
    payload: new Uint8Array(500),
  });
  whole.data.fill(0, 14 + 10, 14 + 12);
  const cut = { ...whole, data: whole.data.subarray(0, 60), originalLength: whole.data.length };
  const state = await served();
  const six = plain("six", "fd00:10:96::7");
  await state.apply([six]);
  const refused = frame({
    source: "fd00::1",
    sourcePort: 5,
    dest: "fd00:10:96::7",
    port: 80,
    payload: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8),
  });
  const other = {
    ...refused,
    data: refused.data.subarray(0, 76),
    originalLength: refused.data.length,
  };
  const { json } = await replay(state, writePcapng([cut, other]));
  assert.deepEqual([json.format, json.skipped], ["pcapng", {}]);
  const [first, second] = json.connections;
  assert.deepEqual([first.verdict, first.original.bytes], ["FORWARD", 540]);
  assert.deepEqual(
    [second.verdict, second.service, second.dropped],
    ["REJECT", "default/six:http", {}],
  );
});

Deno.test("a capture that begins in the middle of a connection", async () => {
  const [, ...rest] = conversation(40_000);
  const { json } = await replay(await served(), captureOf(...rest));
  assert.deepEqual(
    [json.connections[0].verdict, json.connections[0].original.packets],
    ["FORWARD", 4],
  );
  assert.deepEqual(
    json.unmatched.map(({ dest, reason }: Record<string, unknown>) => [dest, reason]),
    [
      [{ address: VIP, port: 80 }, "an answer of default/web:http to what is not in the capture"],
    ],
  );
});

Deno.test("nothing of a replay is seen in the engine that serves", async () => {
  const state = await served();
  await replay(state, captureOf(...conversation(40_000)));
  assert.equal((await state.engine.counters()).packets, 0);
});

Deno.test("a broken capture is 400 with the offset", async () => {
  const file = captureOf(...conversation(40_000));
  const { status, json } = await replay(await served(), file.slice(0, file.length - 3));
  assert.deepEqual([status, json.error.code], [400, "invalid_capture"]);
  assert.match(
    json.error.message,
    /^the capture is broken: at offset 730: a packet of 54 bytes is/,
  );
  const { json: none } = await replay(await served(), new Uint8Array());
  assert.match(none.error.message, /at offset 0: expected a pcap or pcapng file, an empty file/);
});

Deno.test("captures are bounded in bytes and time, and come one at a time", async () => {
  const state = await served();
  const file = captureOf(...conversation(40_000));
  assert.equal((await replay(state, file, "", { maxBytes: 100 })).status, 413);
  const { json: late } = await replay(state, file, "", { maxMs: 0 });
  assert.deepEqual([late.complete, late.packets], [false, 0]);
  await withQueryApi(state, async (ask) => {
    const held = Promise.withResolvers<void>();
    const body = new ReadableStream({
      async start(controller) {
        controller.enqueue(file.slice(0, 50));
        await held.promise;
        controller.enqueue(file.slice(50));
        controller.close();
      },
    });
    const first = ask(PATH, upload(body));
    let second: Reply;
    do second = await ask(PATH, upload(new Uint8Array([1]))); while (second.status === 400);
    assert.equal(second.status, 429);
    assert.ok(second.headers.get("retry-after"));
    held.resolve();
    assert.equal((await first).status, 200);
    assert.equal((await ask(PATH, upload(file, "text/plain"))).status, 415);
    assert.equal((await ask(`${PATH}?seed=x`, upload(file))).json.error.field, "seed");
  });
});
