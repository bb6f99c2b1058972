import assert from "node:assert/strict";
import { ApiClient, type ApiWriter } from "../../../src/cluster/kubernetes/api_client.ts";
import {
  type ClusterEvent,
  EventRecorder,
} from "../../../src/cluster/kubernetes/event_recorder.ts";
import { ApiFailure } from "../../../src/cluster/kubernetes/failure.ts";
import { FakeClock, settle } from "../../agent/fake_clock.ts";
import { ApiDouble } from "./api_double.ts";

const STARTING: ClusterEvent = {
  regarding: { kind: "Node", name: "node-a", uid: "node-a" },
  type: "Normal",
  reason: "Starting",
  action: "StartKubeProxy",
  note: "",
};

const about = (name: string, note = "no"): ClusterEvent => ({
  regarding: { apiVersion: "v1", kind: "Service", namespace: "shop", name },
  type: "Warning",
  reason: "ServiceNotServed",
  action: "Program",
  note,
});

/** A recorder on a clock that stands still, and what it has sent. */
class Bench {
  readonly clock = new FakeClock();
  readonly sent: string[] = [];
  readonly failures: (ApiFailure | null)[] = [];
  readonly recorder: EventRecorder;

  constructor() {
    const writer: ApiWriter = {
      send: ({ method, path, body }) => {
        const failure = this.failures.shift() ?? null;
        if (failure !== null) return Promise.reject(failure);
        const { series, regarding } = body as Record<string, { count?: number; name?: string }>;
        this.sent.push(`${method} ${path.split("/").at(-1)} ${series?.count ?? regarding?.name}`);
        return Promise.resolve();
      },
    };
    const { clock } = this;
    const timing = {
      now: () => clock.now(),
      after: (ms: number, callback: () => void) => clock.after(ms, callback),
      random: () => 0.5,
    };
    const now = () => clock.now();
    this.recorder = new EventRecorder({ writer, controller: "c", instance: "i", timing, now });
  }

  async record(...events: readonly ClusterEvent[]): Promise<void> {
    for (const event of events) this.recorder.record(event);
    await settle();
  }

  get posts(): number {
    return this.sent.filter((line) => line.startsWith("POST ")).length;
  }
}

const failure = (status?: number) => new ApiFailure("no", { status });

Deno.test("an Event is made where those of its object are, and repeated ones become its series", async () => {
  await using api = new ApiDouble();
  const writer = await ApiClient.open({ master: api.url });
  const recorder = new EventRecorder({
    writer,
    controller: "switchyard",
    instance: "switchyard-node-a",
    now: () => Date.UTC(2026, 0, 31, 12),
  });
  for (const event of [STARTING, about("web"), STARTING]) recorder.record(event);
  await recorder.stop(30_000);
  writer.close();
  const [starting, left, series] = api.events;
  const { metadata, ...rest } = starting.body;
  const { name } = metadata as { name: string };
  assert.match(name, /^node-a\.[0-9a-f]+$/);
  assert.deepEqual(metadata, { name, namespace: "default" });
  assert.equal(starting.path, "/apis/events.k8s.io/v1/namespaces/default/events");
  assert.deepEqual(rest, {
    apiVersion: "events.k8s.io/v1",
    kind: "Event",
    eventTime: "2026-01-31T12:00:00.000000Z",
    reportingController: "switchyard",
    reportingInstance: "switchyard-node-a",
    ...STARTING,
  });
  assert.equal(left.path, "/apis/events.k8s.io/v1/namespaces/shop/events");
  assert.equal(series.method, "PATCH");
  assert.equal(series.path, `${starting.path}/${name}`);
  assert.deepEqual(series.body, {
    series: { count: 2, lastObservedTime: "2026-01-31T12:00:00.000000Z" },
  });
});

Deno.test("a series is told of seldom, and ends when nothing comes for a while", async () => {
  const bench = new Bench();
  for (let i = 0; i < 50; i++) await bench.record(STARTING);
  assert.equal(bench.sent.length, 2);
  await bench.clock.advance(300_000);
  await bench.record(STARTING);
  assert.match(bench.sent[2], /^PATCH .* 51$/);
  await bench.clock.advance(360_000);
  await bench.record(STARTING);
  assert.equal(bench.posts, 2, "another Event");
});

Deno.test("one object gets few Events, however many there are to tell", async () => {
  const bench = new Bench();
  for (let i = 0; i < 200; i++) await bench.record(about("web", `problem ${i}`));
  assert.equal(bench.posts, 25);
  await bench.record(about("api"));
  assert.equal(bench.posts, 26, "others are not concerned");
  await bench.clock.advance(600_000);
  for (let i = 200; i < 300; i++) await bench.record(about("web", `problem ${i}`));
  assert.equal(bench.posts, 28);
});

Deno.test("what cannot be sent is tried again a few times, then dropped; what is refused, at once", async () => {
  const bench = new Bench();
  bench.failures.push(failure(), failure(500), failure(429));
  await bench.record(STARTING);
  await bench.clock.advance(30_000);
  assert.equal(bench.posts, 1);
  bench.failures.push(...Array.from({ length: 4 }, () => failure()));
  await bench.record(about("lost"), about("next"));
  await bench.clock.advance(60_000);
  assert.deepEqual(bench.sent.slice(1).map((line) => line.split(" ")[2]), ["next"]);
  bench.failures.push(failure(403));
  await bench.record(about("forbidden"), about("allowed"));
  assert.equal(bench.posts, 3);
  assert.equal(bench.clock.pendingTimers, 0);
});

Deno.test("while the API server is away, what waits is bounded, and the end does not wait for it", async () => {
  const bench = new Bench();
  bench.failures.push(...Array.from({ length: 1000 }, () => failure()));
  for (let i = 0; i < 500; i++) bench.recorder.record(about(`service-${i}`));
  await settle();
  const stopped = bench.recorder.stop(1000);
  await bench.clock.advance(1000);
  await stopped;
  bench.failures.length = 0;
  await bench.record(STARTING);
  await bench.clock.advance(3_600_000);
  assert.deepEqual(bench.sent, []);
});
