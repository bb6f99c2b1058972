import assert from "node:assert/strict";
import { configureSync, resetSync } from "@logtape/logtape";
import { Agent, type AgentOptions, type Companion } from "../../src/agent/agent.ts";
import type { ClusterObject, EndpointSlice, Service } from "../../src/cluster/objects.ts";
import type {
  ClusterChange,
  ClusterListener,
  ClusterProblem,
  ClusterSource,
} from "../../src/cluster/source.ts";
import type { DataPlane } from "../../src/dataplane/dataplane.ts";
import type { Plan, PlanChange } from "../../src/plan/plan.ts";
import { Planner } from "../../src/plan/planner.ts";
import { EchoEngine } from "../api/fixtures.ts";
import { FakeClock, settle } from "./fake_clock.ts";

/** A cluster in memory. */
class MemorySource implements ClusterSource {
  listener: ClusterListener | null = null;
  initial: readonly ClusterChange[] = [];
  failure: Error | null = null;

  async run(listener: ClusterListener, signal: AbortSignal): Promise<void> {
    if (this.failure !== null) throw this.failure;
    this.listener = listener;
    listener.changed(this.initial);
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
  }

  apply(...objects: ClusterObject[]): void {
    this.listener!.changed(objects.map((object) => ({ action: "apply", object })));
  }

  delete(...objects: ClusterObject[]): void {
    this.listener!.changed(objects.map((object) => ({ action: "delete", object })));
  }

  problems(...problems: ClusterProblem[]): void {
    this.listener!.problems(problems);
  }
}

/** Keeps what it is told, and fails when asked to. */
class RecordingDataPlane implements DataPlane {
  readonly mode = "userspace";
  readonly engine = new EchoEngine();
  readonly changes: PlanChange[] = [];
  failures = 0;
  stopped = 0;

  sync(_plan: Plan, change: PlanChange): Promise<void> {
    this.changes.push(change);
    if (this.failures === 0) return Promise.resolve();
    this.failures--;
    return Promise.reject(new Error("the node refused"));
  }

  stop(): Promise<void> {
    this.stopped++;
    return Promise.resolve();
  }

  /** Names of the Services in each sync. */
  get updated(): string[][] {
    return this.changes.map((change) => change.updated.map((service) => service.name));
  }
}

const service = (name: string, clusterIP: string): Service => ({
  kind: "Service",
  metadata: { name, namespace: "default" },
  spec: {
    type: "ClusterIP",
    clusterIP,
    clusterIPs: [clusterIP],
    ipFamilies: ["IPv4"],
    ports: [{ protocol: "TCP", port: 80 }],
  },
});

const slice = (name: string, ...addresses: string[]): EndpointSlice => ({
  kind: "EndpointSlice",
  metadata: {
    name: `${name}-1`,
    namespace: "default",
    labels: { "kubernetes.io/service-name": name },
  },
  addressType: "IPv4",
  endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: true } })),
  ports: [{ name: "", protocol: "TCP", port: 8080 }],
});

interface Bench {
  readonly agent: Agent;
  readonly source: MemorySource;
  readonly dataPlane: RecordingDataPlane;
  readonly clock: FakeClock;
  readonly done: Promise<void>;
}

function bench(
  prepare: (source: MemorySource) => void = () => {},
  more: Partial<AgentOptions> = {},
): Bench {
  const source = new MemorySource();
  prepare(source);
  const dataPlane = new RecordingDataPlane();
  const clock = new FakeClock();
  const planner = new Planner({
    nodeName: "node-a",
    nodeAddresses: ["192.0.2.1"],
    clusterCIDRs: [],
    detectLocalMode: "ClusterCIDR",
    masqueradeAll: false,
    nodePortAddresses: [],
    families: ["IPv4", "IPv6"],
    scheduler: "rr",
  });
  const options: AgentOptions = {
    source,
    planner,
    dataPlane,
    nodeName: "node-a",
    families: ["IPv4", "IPv6"],
    minSyncMs: 100,
    syncPeriodMs: 30_000,
    retryMs: 1000,
    clock,
    ...more,
  };
  const agent = new Agent(options);
  return { agent, source, dataPlane, clock, done: agent.start() };
}

Deno.test("the initial state is programmed at once, even an empty one", async () => {
  const { agent, dataPlane, done } = bench();
  await agent.ready;
  assert.equal(dataPlane.changes.length, 1);
  assert.equal(dataPlane.changes[0].node?.name, "node-a");
  assert.deepEqual(dataPlane.updated, [[]]);
  await agent.stop();
  await done;
  assert.equal(dataPlane.stopped, 1);
});

Deno.test("changes that come together reach the node together", async () => {
  const { agent, source, dataPlane, clock } = bench((source) => {
    source.initial = [{ action: "apply", object: service("a", "10.96.0.1") }];
  });
  await agent.ready;
  source.apply(service("b", "10.96.0.2"));
  source.apply(slice("b", "10.244.0.1"));
  await clock.advance(50);
  source.apply(slice("b", "10.244.0.1", "10.244.0.2"), service("c", "10.96.0.3"));
  await clock.advance(50);
  assert.deepEqual(dataPlane.updated, [["a"], ["b", "c"]]);
  assert.equal(dataPlane.changes[1].node, null);
  const [port] = agent.plan.services.get("default/b")!.ports;
  assert.deepEqual(port.cluster.map((backend) => backend.address), ["10.244.0.1", "10.244.0.2"]);
  source.delete(service("a", "10.96.0.1"));
  await clock.advance(100);
  assert.deepEqual(dataPlane.changes[2].removed, ["default/a"]);
  await agent.stop();
});

Deno.test("health checks learn what the node has, and their problems are the agent's", async () => {
  const seen: string[][] = [];
  const reported: number[] = [];
  let problems: ClusterProblem[] = [];
  let told = () => {};
  let healthy = () => false;
  let stopped = false;
  const companion: Companion = {
    sync(_plan, { updated }) {
      seen.push(updated.map(({ name }) => name));
      return Promise.resolve();
    },
    get problems() {
      return problems;
    },
    stop() {
      stopped = true;
      return Promise.resolve();
    },
  };
  const { agent, source, dataPlane, clock } = bench(() => {}, {
    observer: { queued() {}, synced() {}, problems: (all) => reported.push(all.length) },
    healthChecks(context) {
      told = context.problemsChanged;
      healthy = context.proxyHealthy;
      return companion;
    },
  });
  await agent.ready;
  dataPlane.failures = 1;
  source.apply(service("a", "10.96.0.1"));
  await clock.advance(100);
  assert.deepEqual([dataPlane.updated, seen], [[[], ["a"]], [[]]]);
  await clock.advance(1000);
  assert.deepEqual(seen, [[], ["a"]]);
  assert.equal(healthy(), true);
  problems = [{ where: "health check node ports", message: "the port is in use" }];
  told();
  assert.deepEqual([agent.problems, reported], [problems, [1]]);
  await agent.stop();
  assert.equal(stopped, true);
});

Deno.test("what a failed sync did not bring comes with the next try, and with what is new", async () => {
  const { agent, source, dataPlane, clock } = bench();
  await agent.ready;
  dataPlane.failures = 2;
  source.apply(service("a", "10.96.0.1"));
  await clock.advance(100);
  await clock.advance(1000);
  assert.deepEqual(dataPlane.updated, [[], ["a"], ["a"]]);
  source.apply(service("b", "10.96.0.2"));
  await clock.advance(100);
  assert.deepEqual(dataPlane.updated[3], ["a", "b"]);
  source.apply(service("c", "10.96.0.3"));
  await clock.advance(100);
  assert.deepEqual(dataPlane.updated[4], ["c"]);
  await agent.stop();
});

Deno.test("the agent becomes unhealthy when changes do not reach the node, and recovers", async () => {
  const { agent, source, dataPlane, clock } = bench();
  await agent.ready;
  dataPlane.failures = 61;
  source.apply(service("a", "10.96.0.1"));
  await clock.advance(59_000);
  assert.equal(agent.health.report().healthy, true);
  await clock.advance(1500);
  assert.equal(agent.health.report().healthy, false);
  await clock.advance(5000);
  assert.equal(agent.health.report().healthy, true);
  await agent.stop();
});

Deno.test("a taint on this node, and on no other, turns load balancers away", async () => {
  const { agent, source } = bench();
  await agent.ready;
  const node = (name: string) => ({
    kind: "Node" as const,
    metadata: { name },
    spec: { taints: [{ key: "ToBeDeletedByClusterAutoscaler" }] },
  });
  source.apply(node("node-b"));
  assert.equal(agent.health.report().nodeEligible, true);
  source.apply(node("node-a"));
  assert.equal(agent.health.report().nodeEligible, false);
  await agent.stop();
});

Deno.test("problems of the input and of the plan are both there, as long as they last", async () => {
  const { agent, source, clock } = bench();
  await agent.ready;
  source.problems({ where: "a.yaml", message: "bad" });
  source.apply(service("a", "10.96.0.1"), service("b", "10.96.0.1"));
  await clock.advance(100);
  assert.deepEqual(agent.problems.map((problem) => problem.where === "a.yaml"), [true, false]);
  assert.match(agent.problems[1].message, /./);
  source.problems();
  source.delete(service("b", "10.96.0.1"));
  await clock.advance(100);
  assert.deepEqual(agent.problems, []);
  await agent.stop();
});

Deno.test("a problem is one line in the log for as long as it lasts", async () => {
  const lines: string[] = [];
  configureSync({
    reset: true,
    sinks: { memory: (record) => lines.push(`${record.level} ${record.message.join("")}`) },
    loggers: [
      { category: "switchyard", sinks: ["memory"], lowestLevel: "info" },
      { category: ["logtape", "meta"], sinks: [], lowestLevel: "error" },
    ],
  });
  try {
    const { agent, source } = bench();
    await agent.ready;
    const first = { where: "a.yaml", object: "Service default/a", field: "spec", message: "bad" };
    const second = { where: "b.yaml", message: "worse" };
    source.problems(first);
    source.problems(first, second);
    source.problems(second);
    source.problems(first);
    await agent.stop();
  } finally {
    resetSync();
  }
  assert.deepEqual(lines, [
    "warning a.yaml: Service default/a: spec: bad",
    "warning b.yaml: worse",
    "info solved: a.yaml: Service default/a: spec: bad",
    "warning a.yaml: Service default/a: spec: bad",
    "info solved: b.yaml: worse",
  ]);
});

Deno.test("a source that cannot be read ends the agent", async () => {
  const { agent, dataPlane, done } = bench((source) => {
    source.failure = new Error("no such folder");
  });
  await assert.rejects(done, /no such folder/);
  await assert.rejects(agent.ready, /no such folder/);
  await agent.stop();
  assert.deepEqual(dataPlane.changes, []);
  assert.equal(dataPlane.stopped, 1);
});

Deno.test("nothing is synced after the stop, and stopping again does nothing", async () => {
  const { agent, source, dataPlane, clock } = bench();
  await agent.ready;
  source.apply(service("a", "10.96.0.1"));
  await agent.stop();
  await agent.stop();
  source.apply(service("b", "10.96.0.2"));
  await clock.advance(100_000);
  await settle();
  assert.equal(dataPlane.changes.length, 1);
  assert.equal(dataPlane.stopped, 1);
  assert.equal(clock.pendingTimers, 0);
});
