import assert from "node:assert/strict";
import { setImmediate } from "node:timers";
import { EventHub } from "../../src/api/events/hub.ts";
import { EventStreams, STREAM_LIMITS } from "../../src/api/events/stream.ts";
import type { Difference } from "../../src/dataplane/dataplane.ts";
import { withQueryApi } from "./http.ts";
import { RealState, web } from "./real_state.ts";
import { until } from "../until.ts";

const PATH = "/api/v1/events";

interface Frame {
  readonly id: string | null;
  readonly event: string | null;
  // deno-lint-ignore no-explicit-any -- tests look into events of any shape
  readonly data: any;
}

/** A client that reads frame by frame; comments have no event. */
class Client implements AsyncDisposable {
  #text = "";
  readonly #abort = new AbortController();
  #reader: ReadableStreamDefaultReader<string> | null = null;
  response: Response | null = null;

  async open(url: string, lastId?: string): Promise<this> {
    const headers = new Headers(lastId === undefined ? [] : [["last-event-id", lastId]]);
    this.response = await fetch(url, { headers, signal: this.#abort.signal });
    this.#reader = this.response.body!.pipeThrough(new TextDecoderStream()).getReader();
    return this;
  }

  async next(): Promise<Frame> {
    while (!this.#text.includes("\n\n")) {
      const { done, value } = await this.#reader!.read();
      if (done) throw new Error("the stream ended");
      this.#text += value;
    }
    const end = this.#text.indexOf("\n\n");
    const frame = this.#text.slice(0, end);
    this.#text = this.#text.slice(end + 2);
    const field = (name: string) =>
      frame.split("\n").find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2) ??
        null;
    const data = field("data");
    return {
      id: field("id"),
      event: field("event"),
      data: data === null ? null : JSON.parse(data),
    };
  }

  async [Symbol.asyncDispose]() {
    this.#abort.abort();
    await this.#reader?.cancel().catch(() => {});
  }
}

const sync = (durationMs: number) => ({ type: "sync", ok: true, durationMs, error: null }) as const;

Deno.test("events come as they happen, to every client", async () => {
  const state = new RealState("userspace");
  await withQueryApi(state, async (_, base) => {
    await using one = await new Client().open(base + PATH);
    await using two = await new Client().open(base + PATH);
    assert.match(one.response!.headers.get("content-type")!, /^text\/event-stream/);
    for (const client of [one, two]) assert.equal((await client.next()).event, "hello");
    state.events.publish(sync(3));
    state.events.publish({ type: "problems", problems: ["line\nend"], total: 1 });
    for (const client of [one, two]) {
      const first = await client.next();
      assert.equal(first.event, "sync");
      assert.equal(first.data.durationMs, 3);
      assert.ok(!Number.isNaN(Date.parse(first.data.time)));
      assert.deepEqual((await client.next()).data.problems, ["line\nend"]);
    }
  });
});

Deno.test("a client that comes again gets what it missed, or learns that it is gone", async () => {
  const state = new RealState("userspace");
  await withQueryApi(state, async (_, base) => {
    state.events.publish(sync(1));
    const id = state.events.idOf(state.events.last);
    state.events.publish(sync(2));
    state.events.publish(sync(3));
    {
      await using client = await new Client().open(base + PATH, id);
      const durations = [await client.next(), await client.next()].map(({ data }) =>
        data.durationMs
      );
      assert.deepEqual(durations, [2, 3]);
      assert.equal((await client.next()).event, "hello");
    }
    for (const lost of ["other-1", `${state.events.run}-99`, "nonsense"]) {
      await using client = await new Client().open(base + PATH, lost);
      assert.equal((await client.next()).event, "missed");
    }
    for (let i = 0; i < 300; i++) state.events.publish(sync(i));
    await using client = await new Client().open(base + PATH, id);
    assert.equal((await client.next()).event, "missed");
  });
});

Deno.test("there are signs of life", async () => {
  await withQueryApi(new RealState("userspace"), async (_, base) => {
    await using client = await new Client().open(base + PATH);
    await client.next();
    assert.deepEqual(await client.next(), { id: null, event: null, data: null });
  }, { streams: { heartbeatMs: 20 } });
});

Deno.test("too many clients are 503, until one goes", async () => {
  await withQueryApi(new RealState("userspace"), async (ask, base) => {
    const first = await new Client().open(base + PATH);
    await using _second = await new Client().open(base + PATH);
    const { status, json, headers } = await ask(PATH);
    assert.equal(status, 503);
    assert.equal(json.error.code, "too_many_clients");
    assert.ok(headers.get("retry-after"));
    await first[Symbol.asyncDispose]();
    await until(async () => {
      await using client = await new Client().open(base + PATH);
      return client.response!.status === 200;
    }, "another is taken");
  }, { streams: { clients: 2 } });
});

Deno.test("HEAD takes no client's place", async () => {
  await withQueryApi(new RealState("userspace"), async (_, base) => {
    for (let i = 0; i < 3; i++) {
      const response = await fetch(base + PATH, { method: "HEAD" });
      assert.equal(response.status, 200);
    }
    await using client = await new Client().open(base + PATH);
    assert.equal((await client.next()).event, "hello");
  }, { streams: { clients: 1 } });
});

Deno.test("a client that does not read is let go, and the others go on", async () => {
  const state = new RealState("userspace");
  await withQueryApi(state, async (_, base) => {
    const { port } = new URL(base);
    const stuck = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
    await stuck.write(new TextEncoder().encode(`GET ${PATH} HTTP/1.1\r\nHost: x\r\n\r\n`));
    await using reader = await new Client().open(base + PATH);
    assert.equal((await reader.next()).event, "hello");
    const problems = ["x".repeat(100_000)];
    for (let i = 0; i < 200; i++) {
      state.events.publish({ type: "problems", problems, total: 1 });
      assert.equal((await reader.next()).event, "problems");
    }
    // Its place is free again: two more fit, one of which would not otherwise.
    await using more = await new Client().open(base + PATH);
    assert.equal(more.response!.status, 200);
    stuck.close();
  }, { streams: { clients: 2, queueBytes: 1 << 20 } });
});

Deno.test("streams without clients listen to nothing and run no timer", async () => {
  const hub = new EventHub(() => 1);
  const used: boolean[] = [];
  const streams = new EventStreams(hub, STREAM_LIMITS, (inUse) => used.push(inUse));
  const first = streams.open(null);
  const second = streams.open(null);
  assert.equal(streams.size, 2);
  await first.cancel();
  await second.cancel();
  assert.equal(streams.size, 0);
  assert.deepEqual(used, [true, false]);
});

Deno.test("drift is told when it comes, becomes another, and goes", async () => {
  const state = new RealState("iptables", true);
  let differences: Difference[] = [];
  state.node = { differences: () => Promise.resolve(differences) };
  const missing = (where: string): Difference => ({
    where,
    problem: "missing",
    found: [],
    expected: Array.from({ length: 20 }, (_, i) => String(i)),
  });
  await withQueryApi(state, async (ask, base) => {
    await using client = await new Client().open(base + PATH);
    await client.next();
    differences = [missing("IPv4 nat KUBE-SERVICES")];
    const first = await client.next();
    assert.equal(first.event, "drift");
    assert.equal(first.data.differences[0].where, "IPv4 nat KUBE-SERVICES");
    assert.equal(first.data.differences[0].expected.length, 10);
    differences = [missing("a"), missing("b")];
    assert.equal((await client.next()).data.total, 2);
    differences = [];
    await ask("/api/v1/diff");
    assert.deepEqual((await client.next()).data.differences, []);
  }, { driftPeriodMs: 20 });
});

Deno.test("1,000 clients are sent to in turns, between which everything else goes on", async () => {
  const hub = new EventHub();
  const streams = new EventStreams(hub, STREAM_LIMITS);
  const readers = Array.from({ length: 1000 }, () => streams.open(null).getReader());
  for (const reader of readers) await reader.read();
  let told = 0;
  const reading = readers.map(async (reader) => {
    const { value } = await reader.read();
    told++;
    return new TextDecoder().decode(value);
  });
  hub.publish(sync(1));
  hub.publish(sync(2));
  const late = streams.open(null).getReader();
  let turns = 0;
  while (told < 1000) {
    const before = told;
    await new Promise((resolve) => setImmediate(resolve));
    assert.ok(told - before <= 300, `${told - before} in one turn`);
    turns++;
  }
  assert.ok(turns >= 4);
  // Both events at once, and not to the one who came after them.
  for (const text of await Promise.all(reading)) assert.equal(text.match(/^event: /gm)?.length, 2);
  hub.publish(sync(3));
  await late.read();
  assert.match(new TextDecoder().decode((await late.read()).value), /"durationMs":3/);
  await Promise.all([...readers, late].map((reader) => reader.cancel()));
  assert.equal(streams.size, 0);
});

Deno.test("1,000 clients that only listen, and what they half close is free again", async () => {
  const state = new RealState("userspace");
  await withQueryApi(state, async (ask, base) => {
    const port = Number(new URL(base).port);
    const request = new TextEncoder().encode(`GET ${PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`);
    const open = async () => {
      const connection = await Deno.connect({ hostname: "127.0.0.1", port });
      await connection.write(request);
      const buffer = new Uint8Array(1000);
      const text = new TextDecoder().decode(buffer.subarray(0, (await connection.read(buffer))!));
      return { connection, status: Number(text.slice(9, 12)) };
    };
    const clients: Deno.TcpConn[] = [];
    try {
      for (let i = 0; i < 1000; i++) {
        const { connection, status } = await open();
        clients.push(connection);
        assert.equal(status, 200);
      }
      assert.equal((await ask(PATH)).status, 503);
      // The state goes on, and is told to who listens.
      for (let i = 0; i < 20; i++) {
        await state.apply(web());
        state.events.publish(sync(i));
      }
      assert.equal((await ask("/api/v1/services")).json.items.length, 1);
      for (const client of clients.slice(0, 500)) await client.closeWrite();
      for (let free = 0, tries = 0; free < 500; tries++) {
        assert.ok(tries < 5000, `${free} of 500 are free again`);
        const { connection, status } = await open();
        clients.push(connection);
        if (status === 200) free++;
      }
    } finally {
      for (const client of clients) client.close();
    }
  }, { streams: { clients: 1000 } });
});
