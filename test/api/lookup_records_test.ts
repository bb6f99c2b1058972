/** POST /api/v1/lookup in records of fixed size says what it says in JSON. */

import assert from "node:assert/strict";
import fc from "fast-check";
import type { LookupResult, PacketQuery } from "../../src/engine/handle.ts";
import { askInBatches } from "../../src/engine/records.ts";
import { post, withQueryApi } from "./http.ts";
import { RealState, web } from "./real_state.ts";
import { decode, type Decoded, encode, TYPE } from "./records.ts";
import { plain } from "./real_state.ts";

async function realState(): Promise<RealState> {
  const state = new RealState("userspace");
  await state.apply([
    ...web(),
    plain("none", "10.0.1.200"),
    plain("six", "fd00::aa"),
    {
      kind: "EndpointSlice",
      metadata: {
        name: "six",
        namespace: "default",
        labels: { "kubernetes.io/service-name": "six" },
      },
      addressType: "IPv6",
      endpoints: [{ addresses: ["fd00::1"] }, { addresses: ["fd00::2"] }],
      ports: [{ name: "http", protocol: "TCP", port: 8080 }],
    },
  ]);
  const [source, dest, sourcePort] = ["203.0.113.9", "10.0.1.175", 4000];
  state.send({ source, sourcePort, dest, port: 80, protocol: "TCP" });
  return state;
}

async function ask(base: string, body: BodyInit): Promise<Response> {
  const headers = { "content-type": TYPE };
  return await fetch(`${base}/api/v1/lookup`, { method: "POST", body, headers });
}

async function answers(base: string, packets: readonly PacketQuery[]): Promise<Decoded[]> {
  const response = await ask(base, encode(packets));
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("content-type"), TYPE);
  return decode(await response.bytes());
}

const port = fc.constantFrom(80, 30080, 81, 65535);
const sourcePort = fc.constantFrom(undefined, 4000, 4001);
const protocol = fc.constantFrom("TCP" as const, "UDP" as const, "SCTP" as const);
const four = fc.record({
  source: fc.constantFrom("203.0.113.9", "10.180.0.1", "192.168.50.10", "255.255.255.255"),
  dest: fc.constantFrom("10.0.1.175", "10.0.1.200", "198.51.100.8", "192.168.50.10", "1.2.3.4"),
  sourcePort,
  port,
  protocol,
});
const six = fc.record({
  source: fc.constantFrom("fd00::1", "2001:db8::9", "::1"),
  dest: fc.constantFrom("fd00::aa", "fd00::ab"),
  sourcePort,
  port,
  protocol,
});

/** FORWARD, REJECT, DROP (outside its source ranges) and PASS, which chance does not always find. */
const ONE_OF_EACH_VERDICT = ["10.0.1.175", "10.0.1.200", "198.51.100.8", "1.2.3.4"].map((
  dest,
): PacketQuery => ({
  source: "255.255.255.255",
  sourcePort: 4001,
  dest,
  port: 80,
  protocol: "TCP",
}));

Deno.test("records say what JSON says", async () => {
  await withQueryApi(await realState(), async (lookup, base) => {
    const verdicts = new Set<string>();
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(four, six), { maxLength: 40 }), async (packets) => {
        const { json } = await lookup("/api/v1/lookup", post({ packets }));
        const got = await answers(base, packets);
        assert.equal(got.length, packets.length);
        for (const [i, result] of (json.results as LookupResult[]).entries()) {
          const { backends: _, reason: __, ...rest } = result;
          const { reason, ...record } = got[i];
          assert.deepEqual(record, rest);
          assert.equal(reason === 1, result.reason.startsWith("the connection is tracked"));
          verdicts.add(result.verdict);
        }
      }),
      { numRuns: 100, examples: [[ONE_OF_EACH_VERDICT]] },
    );
    assert.deepEqual([...verdicts].sort(), ["DROP", "FORWARD", "PASS", "REJECT"]);
  });
});

Deno.test("as many records as there may be are answered in order, one more is refused", async () => {
  await withQueryApi(await realState(), async (_, base) => {
    const packets = Array.from({ length: 16_384 }, (_, i): PacketQuery => ({
      source: "10.180.0.1",
      dest: i % 3 === 0 ? "10.0.1.175" : i % 3 === 1 ? "10.0.1.200" : "10.0.0.1",
      port: 80,
      protocol: "TCP",
    }));
    const services = ["default/web:http", "default/none:http", null];
    const got = await answers(base, packets);
    assert.deepEqual(got.map(({ service }) => service), packets.map((_, i) => services[i % 3]));
    assert.equal((await ask(base, encode([...packets, packets[0]]))).status, 413);
    assert.deepEqual(await answers(base, []), []);
  });
});

Deno.test("records that cannot be asked are told by number and field", async () => {
  const good: PacketQuery = { source: "10.1.1.1", dest: "10.0.1.175", port: 80, protocol: "TCP" };
  await withQueryApi(await realState(), async (_, base) => {
    const broken = async (damage: (bytes: Uint8Array) => void) => {
      const bytes = encode([good, good, good]);
      damage(bytes.subarray(80));
      const response = await ask(base, bytes);
      assert.equal(response.status, 400);
      return (await response.json()).error.field;
    };
    assert.equal(await broken((record) => record[36] = 1), "records[2].protocol");
    assert.equal(await broken((record) => record[39] = 1), "records[2].protocol");
    assert.equal(await broken((record) => record.fill(0, 34, 36)), "records[2].port");
    assert.equal(await broken((record) => record[0] = 0xfd), "records[2].dest");
    assert.equal((await ask(base, new Uint8Array(41))).status, 400);
  });
});

Deno.test("any bytes are answered as they are described", async () => {
  await withQueryApi(await realState(), async (_, base) => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.uint8Array({ minLength: 80, maxLength: 80 }),
    );
    await fc.assert(fc.asyncProperty(bytes, async (bytes) => {
      const response = await ask(base, bytes as Uint8Array<ArrayBuffer>);
      if (response.status === 200) decode(await response.bytes());
      else assert.equal((await response.json()).error.code, "invalid_request");
    }));
  });
});

Deno.test("answers of batches are those of one call", async () => {
  const { engine } = await realState();
  const dests = ["10.0.1.200", "10.0.1.175", "1.2.3.4", "10.0.1.175", "10.0.1.200"];
  const source = "10.180.0.1";
  const packets = dests.map((dest): PacketQuery => ({ source, dest, port: 80, protocol: "TCP" }));
  const whole = await engine.lookupRecords(encode(packets));
  for (const batch of [1, 2, 3, 5, 9]) {
    const ask = (questions: Uint8Array) => engine.lookupRecords(questions);
    assert.deepEqual(await askInBatches(ask, encode(packets), batch), whole);
  }
});
