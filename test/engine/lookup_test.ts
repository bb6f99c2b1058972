/** Answers of the engine about what it would do. */

import assert from "node:assert/strict";
import { LocalEngine } from "../../src/engine/local.ts";
import { Bench, NODE, service } from "./harness.ts";

const QUERY = {
  source: "10.50.0.2",
  sourcePort: 5000,
  dest: "10.99.9.9",
  port: 80,
  protocol: "TCP",
} as const;
const BACKENDS = ["10.60.0.2:80", "10.60.0.3:80", "10.60.0.4:80*0"];

Deno.test("asking changes nothing, and the packet does what was said", () => {
  for (const scheduler of ["rr", "random"] as const) {
    const bench = new Bench([{
      backends: ["10.60.0.2:80", "10.60.0.3:80", "10.60.0.4:80"],
      scheduler,
    }]);
    for (let sourcePort = 1; sourcePort < 50; sourcePort++) {
      const [first, second] = bench.engine.lookup([{ ...QUERY, sourcePort }, {
        ...QUERY,
        sourcePort,
      }]);
      assert.deepEqual(first, second);
      const sent = bench.send({ ...QUERY, sourcePort });
      assert.equal(sent.route.split(" > ")[1], `${first.backend!.address}:${first.backend!.port}`);
    }
  }
});

Deno.test("every way to an answer", () => {
  const bench = new Bench([
    { backends: BACKENDS, masquerade: true },
    { name: "none", address: "10.99.0.1", backends: [] },
    { name: "affine", address: "10.99.0.2", backends: BACKENDS, affinitySeconds: 60 },
    {
      name: "ranged",
      backends: BACKENDS,
      frontends: [{
        kind: "LoadBalancer",
        address: "10.99.0.3",
        port: 80,
        sourceRanges: ["10.0.0.0/24"],
      }],
    },
    { name: "local", address: "10.99.0.4", backends: BACKENDS, route: { action: "drop" } },
    { name: "weightless", address: "10.99.0.5", backends: ["10.60.0.2:80*0"] },
  ]);
  const ask = (changes: Partial<typeof QUERY> | Record<string, unknown> = {}) =>
    bench.engine.lookup([{ ...QUERY, ...changes }], bench.nowMs)[0];
  const free = ask();
  assert.deepEqual(free, {
    verdict: "FORWARD",
    service: "default/web",
    frontend: "ClusterIP",
    sourceClass: "outside",
    backend: { address: "10.60.0.2", port: 80 },
    backends: [
      { address: "10.60.0.2", port: 80, probability: 0.5 },
      { address: "10.60.0.3", port: 80, probability: 0.5 },
    ],
    masquerade: true,
    reason: "policy Cluster, scheduler rr at 0 of 3 backends",
  });
  bench.send(QUERY);
  const tracked = ask();
  assert.equal(tracked.reason, "the connection is tracked, state SYN_SENT");
  assert.deepEqual(tracked.backends, [{ address: "10.60.0.2", port: 80, probability: 1 }]);
  assert.equal(tracked.service, "default/web");
  assert.equal(ask({ sourcePort: undefined }).backend?.address, "10.60.0.3");
  bench.remove("web");
  assert.equal(ask().service, "default/web");
  assert.equal(ask({ sourcePort: 1 }).verdict, "PASS");
  assert.equal(ask({ sourcePort: 1 }).service, null);

  assert.deepEqual(
    [ask({ dest: "10.99.0.1" }).verdict, ask({ dest: "10.99.0.1" }).reason],
    ["REJECT", "default/none has no endpoints"],
  );
  bench.send({ ...QUERY, dest: "10.99.0.2" });
  bench.nowMs += 10_000;
  const affine = ask({ dest: "10.99.0.2", sourcePort: 77 });
  assert.equal(affine.reason, "session affinity of 10.50.0.2, for 50 s more");
  assert.equal(affine.backends.length, 1);
  const ranged = ask({ dest: "10.99.0.3" });
  assert.deepEqual([ranged.verdict, ranged.frontend], ["DROP", "LoadBalancer"]);
  assert.match(ranged.reason, /none of the source ranges/);
  assert.equal(ask({ dest: "10.99.0.4" }).verdict, "DROP");
  assert.equal(ask({ dest: "10.99.0.5" }).verdict, "REJECT");
  assert.throws(() => ask({ source: "fd00::1" }), TypeError);
  assert.throws(() => ask({ source: "10.1" }), TypeError);
});

Deno.test("a hairpin's pick is masqueraded", () => {
  const bench = new Bench([{ backends: ["10.60.0.2:80", "10.60.0.3:80"] }]);
  const ask = () => bench.engine.lookup([{ ...QUERY, source: "10.60.0.2" }])[0].masquerade;
  assert.equal(ask(), true);
  bench.send({ ...QUERY, source: "10.60.0.9" });
  assert.equal(ask(), false);
});

Deno.test("weights are probabilities for random", () => {
  const backends = ["10.60.0.2:80*3", "10.60.0.3:80*0", "10.60.0.4:80*1"];
  const bench = new Bench([{ backends, scheduler: "random" }], { connections: 8192 });
  const [said] = bench.engine.lookup([QUERY]);
  assert.deepEqual(said.backends.map(({ probability }) => probability), [0.75, 0.25]);
  const counts = new Map<string, number>();
  for (let sourcePort = 1; sourcePort <= 4000; sourcePort++) {
    const to = bench.send({ ...QUERY, sourcePort }).route.split(" > ")[1];
    counts.set(to, (counts.get(to) ?? 0) + 1);
  }
  assert.deepEqual([...counts.keys()].sort(), ["10.60.0.2:80", "10.60.0.4:80"]);
  // Five standard deviations.
  assert.ok(Math.abs(counts.get("10.60.0.2:80")! - 3000) < 137, `${[...counts]}`);
});

Deno.test("the witness answers like the engine it holds", async () => {
  const witness = LocalEngine.create({ seed: 1n });
  await witness.apply({ node: NODE, updated: [service({ backends: BACKENDS })], removed: [] });
  const [answer] = await witness.lookup([QUERY]);
  assert.equal(answer.verdict, "FORWARD");
  assert.deepEqual((await witness.conntrack(0, 10)).entries, []);
  assert.equal((await witness.counters()).backends.length, 3);
  await assert.rejects(witness.lookup([{ ...QUERY, dest: "nowhere" }]), TypeError);
});

Deno.test("who knows what an answer rests on is answered again only when that has changed", async () => {
  const bench = new Bench([{ backends: ["10.60.0.2:80", "10.60.0.3:80"], scheduler: "rr" }]);
  const { engine } = bench;
  const { sourcePort: _, ...query } = QUERY;
  const first = engine.lookupIfChanged(query, null)!;
  assert.deepEqual(first.result, engine.lookup([query])[0]);
  assert.equal(engine.lookupIfChanged(query, first.basis), null);
  const other = { ...query, source: "10.50.0.77" };
  assert.equal(engine.lookupIfChanged(other, first.basis), null);
  assert.deepEqual(engine.lookup([other])[0], first.result);
  bench.send({ ...query, sourcePort: 5000 });
  const second = engine.lookupIfChanged(query, first.basis)!;
  assert.notDeepEqual(second.result.backend, first.result.backend);
  bench.send({ ...query, sourcePort: 5001 });
  assert.equal(engine.lookupIfChanged(query, first.basis), null);
  const put = (spec: Parameters<typeof service>[0]) =>
    engine.apply({ node: null, updated: [service(spec)], removed: [] });
  put({ name: "other", address: "10.99.9.8", backends: ["10.60.0.9:80"] });
  assert.equal(engine.lookupIfChanged(query, first.basis), null);
  put({ backends: ["10.60.0.2:80", "10.60.0.3:80*2"], scheduler: "rr" });
  assert.notEqual(engine.lookupIfChanged(query, first.basis), null);
  const witness = LocalEngine.create();
  await witness.apply({ node: NODE, updated: [], removed: [] });
  const nothing = await witness.lookupIfChanged(query, second.basis);
  assert.equal(nothing!.result.verdict, "PASS");
  assert.equal(await witness.lookupIfChanged(query, nothing!.basis), null);
});
