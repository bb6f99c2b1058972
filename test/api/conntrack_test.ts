import assert from "node:assert/strict";
import { type Connection, STATUS } from "../../src/netlink/netfilter/conntrack.ts";
import { matches } from "../../src/netlink/netfilter/conntrack_filter.ts";
import { SYN } from "../engine/packets.ts";
import { type Ask, withQueryApi } from "./http.ts";
import { plain, RealState, slice, web } from "./real_state.ts";

const PATH = "/api/v1/conntrack";

/** Twelve connections to default/web, and three to default/other, from the engine. */
async function engineState(): Promise<RealState> {
  const state = new RealState("userspace");
  await state.apply([...web(), plain("other", "10.0.1.176"), slice("other", ["10.180.0.9"])]);
  for (let i = 0; i < 15; i++) {
    const dest = i % 5 === 4 ? "10.0.1.176" : "10.0.1.175";
    const source = i % 2 === 0 ? "10.180.0.1" : "203.0.113.9";
    state.send({ source, sourcePort: 40_000 + i, dest, port: 80, flags: SYN });
  }
  return state;
}

/** All pages. */
// deno-lint-ignore no-explicit-any -- tests look into answers of any shape
async function all(ask: Ask, query: string): Promise<any[]> {
  // deno-lint-ignore no-explicit-any -- as above
  const items: any[] = [];
  for (let cursor: string | null = "";;) {
    const { status, json } = await ask(`${PATH}?${query}${cursor ? `&cursor=${cursor}` : ""}`);
    assert.equal(status, 200);
    items.push(...json.items);
    cursor = json.next;
    if (cursor === null) return items;
  }
}

const ports = (items: { original: { sourcePort: number } }[]) =>
  items.map(({ original }) => original.sourcePort).sort();

Deno.test("conntrack of the engine, joined to Services and pods", async () => {
  await withQueryApi(await engineState(), async (ask) => {
    const { json } = await ask(`${PATH}?service=default/other`);
    assert.equal(json.trackedBy, "engine");
    assert.deepEqual(ports(json.items), [40_004, 40_009, 40_014]);
    const [first] = json.items.filter((item: { client: { port: number } }) =>
      item.client.port === 40_004
    );
    assert.equal(first.service, "default/other:http");
    assert.equal(first.frontend, "ClusterIP");
    assert.deepEqual(first.client, {
      address: "10.180.0.1",
      port: 40_004,
      pod: "default/web-0",
    });
    assert.deepEqual(first.backend, {
      address: "10.180.0.9",
      port: 8080,
      pod: "default/other-0",
    });
    assert.equal(first.state, "SYN_SENT");
    assert.equal(first.stale, null);
    assert.equal(first.masqueraded, false);
    assert.ok(first.expiresInSeconds > 0);
    assert.ok(first.ageSeconds >= 0 && first.ageSeconds < 3600, first.ageSeconds);
    assert.deepEqual(json.unavailable, [
      { field: "counters", reason: "the engine does not keep it of connections" },
    ]);
  });
});

Deno.test("conntrack pages have every connection once, whatever their size", async () => {
  await withQueryApi(await engineState(), async (ask) => {
    const wanted = Array.from({ length: 15 }, (_, i) => 40_000 + i);
    for (const limit of [1, 4, 15, 1000]) {
      assert.deepEqual(ports(await all(ask, `limit=${limit}`)), wanted);
    }
    assert.equal((await all(ask, "limit=2&service=default/web")).length, 12);
  });
});

Deno.test("conntrack is filtered by service, backend, client, protocol and state", async () => {
  await withQueryApi(await engineState(), async (ask) => {
    const count = async (query: string) => (await all(ask, query)).length;
    assert.equal(await count("service=default/web:http"), 12);
    assert.equal(await count("service=default/we"), 0);
    assert.equal(await count("client=203.0.113.9"), 7);
    assert.equal(await count("client=::ffff:203.0.113.9&protocol=UDP"), 0);
    assert.equal(await count("backend=10.180.0.9"), 3);
    assert.equal(await count("backend=10.180.0.9&client=203.0.113.9"), 1);
    assert.equal(await count("protocol=TCP"), 15);
    assert.equal(await count("protocol=SCTP"), 0);
    assert.equal(await count("state=SYN_SENT"), 15);
    assert.equal(await count("state=ESTABLISHED"), 0);
    assert.equal(await count("stale=false"), 15);
  });
});

Deno.test("connections whose backend or frontend is gone from the plan are stale", async () => {
  const state = await engineState();
  await state.apply([slice("other", [])], { engine: false });
  await withQueryApi(state, async (ask) => {
    const stale = await all(ask, "stale=true");
    assert.deepEqual(ports(stale), [40_004, 40_009, 40_014]);
    assert.equal(stale[0].stale, "10.180.0.9:8080 is no endpoint of default/other:http");
    assert.equal((await all(ask, "stale=false")).length, 12);
    await state.apply([plain("other", "10.0.1.176")], { action: "delete", engine: false });
    const gone = await all(ask, "stale=true&service=default/other");
    assert.equal(gone[0].stale, "no Service has a frontend at 10.0.1.176:80/TCP any more");
  });
});

function connection(id: number, more: Partial<Connection>): Connection {
  const source = "10.180.0.1";
  return {
    family: "IPv4",
    original: {
      source,
      sourcePort: 40_000 + id,
      destination: "10.0.1.175",
      destinationPort: 80,
      protocol: 6,
    },
    reply: {
      source: "10.180.0.2",
      sourcePort: 8080,
      destination: source,
      destinationPort: 40_000 + id,
      protocol: 6,
    },
    zone: 0,
    id,
    status: STATUS.seenReply | STATUS.assured,
    mark: 0,
    timeout: 60,
    tcpState: "ESTABLISHED",
    startedAtMs: null,
    counters: null,
    ...more,
  };
}

Deno.test("conntrack of the kernel, joined likewise", async () => {
  const udp = connection(3, { tcpState: null, status: 0, timeout: null });
  const startedAtMs = Date.now() - 90_500;
  const table = [
    connection(9, { startedAtMs }),
    connection(2, { reply: { ...udp.reply, source: "10.180.0.77" } }),
    connection(5, {
      counters: {
        original: { packets: 3n, bytes: 300n },
        reply: { packets: 2n, bytes: 200n },
      },
      reply: { ...udp.reply, destination: "192.168.50.10", destinationPort: 7 },
    }),
    { ...udp, original: { ...udp.original, protocol: 17, destinationPort: 53 } },
    // Begun when the Service had no endpoints: not translated.
    connection(7, { reply: { ...udp.reply, source: "10.0.1.175", sourcePort: 80 } }),
    connection(8, {
      original: { source: "10.0.0.1", destination: "10.0.0.2", protocol: 1 },
      reply: { source: "10.0.0.2", destination: "10.0.0.1", protocol: 1 },
    }),
  ];
  const state = new RealState("iptables", true);
  await state.apply(web());
  const asked: unknown[] = [];
  state.node = {
    async *connections(filter, after = -1) {
      asked.push(filter);
      await Promise.resolve();
      for (const entry of table.toSorted((a, b) => a.id - b.id)) {
        if (entry.id > after && matches(entry, filter)) yield [entry];
      }
    },
  };
  await withQueryApi(state, async (ask) => {
    const items = await all(ask, "limit=2");
    assert.equal((await ask(PATH)).json.trackedBy, "kernel");
    assert.deepEqual(items.map(({ original }) => original.sourcePort - 40_000), [2, 3, 5, 7, 9]);
    const [gone, other, counted, early, fine] = items;
    const age = (Date.now() - startedAtMs) / 1000;
    assert.ok(fine.ageSeconds >= 90 && fine.ageSeconds <= age, `${fine.ageSeconds} of ${age} s`);
    assert.equal(gone.ageSeconds, null);
    assert.deepEqual((await ask(PATH)).json.unavailable, []);
    assert.deepEqual((await ask(`${PATH}?limit=1`)).json.unavailable, [
      {
        field: "ageSeconds",
        reason: "sysctl net.netfilter.nf_conntrack_timestamp was 0 when these connections began",
      },
      {
        field: "counters",
        reason: "sysctl net.netfilter.nf_conntrack_acct was 0 when these connections began",
      },
    ]);
    assert.equal(gone.stale, "10.180.0.77:8080 is no endpoint of default/web:http");
    assert.deepEqual([other.service, other.backend, other.stale, other.state], [
      null,
      null,
      null,
      "UNREPLIED",
    ]);
    assert.deepEqual(counted.counters.original, { packets: 3, bytes: 300 });
    assert.equal(counted.masqueraded, true);
    assert.equal(early.stale, "it was begun when the Service had no rules");
    assert.deepEqual([fine.state, fine.service, fine.stale, fine.backend.pod], [
      "ESTABLISHED",
      "default/web:http",
      null,
      "default/web-1",
    ]);
    asked.length = 0;
    assert.equal((await all(ask, "protocol=TCP&client=10.180.0.1&backend=10.180.0.77")).length, 1);
    assert.deepEqual(asked, [{
      protocol: 6,
      original: { source: "10.180.0.1" },
      reply: { source: "10.180.0.77" },
    }]);
  });
});

Deno.test("a kernel that refuses is 503", async () => {
  const state = new RealState("iptables", true);
  state.node = {
    async *connections() {
      yield await Promise.reject(new Error("not permitted"));
    },
  };
  await withQueryApi(state, async (ask) => {
    const { status, json } = await ask(PATH);
    assert.equal(status, 503);
    assert.match(json.error.message, /not permitted/);
  });
});

for (
  const [field, query] of [
    ["limit", "limit=0"],
    ["limit", "limit=1001"],
    ["limit", "limit=x"],
    ["cursor", "cursor=x"],
    ["cursor", "cursor=k1"],
    ["client", "client=web"],
    ["backend", "backend="],
    ["protocol", "protocol=tcp"],
    ["stale", "stale=yes"],
    ["service", `service=${"x".repeat(401)}`],
    ["pod", "pod=x"],
  ]
) {
  Deno.test(`conntrack refuses ${query.slice(0, 20)}`, async () => {
    await withQueryApi(new RealState("userspace"), async (ask) => {
      const { status, json } = await ask(`${PATH}?${query}`);
      assert.equal(status, 400);
      assert.equal(json.error.field, field);
    });
  });
}
