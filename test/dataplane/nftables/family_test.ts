import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { RefusedTransaction } from "../../../src/dataplane/nftables/access.ts";
import { FamilyRules } from "../../../src/dataplane/nftables/family.ts";
import type { Chain, Table } from "../../../src/dataplane/nftables/language/ast.ts";
import { render } from "../../../src/dataplane/nftables/render.ts";
import { tableOf } from "../../../src/dataplane/nftables/rules.ts";
import type { Operation } from "../../../src/dataplane/nftables/transaction.ts";
import { Planner } from "../../../src/plan/planner.ts";
import { clusterChange, plannerConfig } from "../../plan/arbitraries.ts";
import { FakeNode } from "./fake_node.ts";
import { FamilyBed, OPTIONS, service, sticky } from "./family_bed.ts";
import { sortedTable } from "./tables.ts";

Deno.test("a change takes as many steps as there are things in it", async () => {
  const bed = new FamilyBed();
  await bed.sync([]);
  // The cluster IP and its port; two chains, with masquerade and choice, and two rules of the endpoint.
  assert.equal((await bed.sync(service([1]))).lines, 2 + 2 + 2 + 2);
  // Another endpoint's chain and two rules; the other two anew in their chain, which is emptied.
  assert.equal((await bed.sync(service([1, 2]))).lines, 3 + 3);
  assert.equal((await bed.sync(service([1, 2]))).lines, 0);
  assert.equal((await bed.sync(service([1]))).lines, 3 + 2);
  // Refused instead: an element for another, and two chains emptied and taken away.
  assert.equal((await bed.sync(service([]))).lines, 2 + 4);
  assert.equal((await bed.sync(service([]), "delete")).lines, 2);
  bed.assertRight();
  assert.equal(bed.node.reads, 1);
});

Deno.test("after a full sync nothing is left to do", async () => {
  const bed = new FamilyBed();
  await bed.sync(service([1, 2], sticky(60)));
  bed.assertRight();
  const { full, lines, drift } = await bed.rules.syncAll(bed.planner.plan, OPTIONS);
  assert.deepEqual({ full, lines, drift }, { full: true, lines: 0, drift: [] });
  assert.equal(bed.node.applied.length, 1);
});

Deno.test("clients that a set remembers stay, also over a restart", async () => {
  const bed = new FamilyBed();
  await bed.sync(service([1, 2], sticky(60)));
  const withClients = (table: Table): Table => ({
    ...table,
    sets: table.sets.map((set) =>
      set.flags.includes("dynamic")
        ? {
          ...set,
          elements: [{
            key: { kind: "address", text: "10.9.9.9" },
            data: null,
            comment: null,
            timeout: null,
            expires: 59000,
            statements: [],
          }],
        }
        : set
    ),
  });
  bed.node.tables.set("ip", withClients(bed.table));
  const before = bed.table;
  const restarted = new FamilyRules("IPv4", bed.node, { removesChains: true });
  assert.equal((await restarted.syncAll(bed.planner.plan, OPTIONS)).lines, 0);
  assert.deepEqual(await restarted.drift(), []);
  assert.equal(bed.table, before);
});

Deno.test("another time of session affinity makes the sets anew", async () => {
  for (const full of [false, true]) {
    const bed = new FamilyBed();
    await bed.sync(service([1, 2], sticky(60)));
    if (full) bed.rules.doubt();
    await bed.sync(service([1, 2], sticky(90)));
    bed.assertRight();
    const sets = bed.table.sets.filter(({ timeout }) => timeout !== null);
    assert.deepEqual(sets.map(({ timeout }) => timeout), [90_000, 90_000]);
    await bed.sync(service([1, 2]));
    bed.assertRight();
  }
});

Deno.test("networks of cluster IPs that are others have everything compared", async () => {
  const bed = new FamilyBed();
  await bed.sync(service([1]));
  const { full, drift } = await bed.sync([{
    kind: "ServiceCIDR",
    metadata: { name: "kubernetes" },
    spec: { cidrs: ["172.30.0.0/16", "fd00:10::/108"] },
  }]);
  assert.deepEqual({ full, drift }, { full: true, drift: [] });
  bed.assertRight();
  const chain = bed.table.chains.find(({ name }) => name === "cluster-ips-check")!;
  assert.equal(chain.rules.length, 2);
});

Deno.test("Services may have a cluster IP together", async () => {
  const bed = new FamilyBed();
  const other = service([3], { ports: [{ name: "", protocol: "TCP", port: 81 }] }, "other");
  await bed.sync([...service([1]), ...other]);
  bed.assertRight();
  assert.equal((await bed.rules.syncAll(bed.planner.plan, OPTIONS)).lines, 0);
  await bed.sync(other, "delete");
  bed.assertRight();
  await bed.sync(service([1]), "delete");
  bed.assertRight();
});

Deno.test("older kernels get unused chains taken away a second later", async () => {
  const bed = new FamilyBed(false);
  await bed.sync(service([1, 2]));
  await bed.sync(service([1]));
  const unused = bed.table.chains.filter(({ rules }) => rules.length === 0);
  assert.equal(unused.length, 1);
  bed.now = 500;
  await bed.sync(service([]));
  assert.equal(bed.table.chains.filter(({ rules }) => rules.length === 0).length, 3);
  // One is used again, the others go when their time has come.
  bed.now = 1200;
  await bed.sync(service([1]));
  bed.now = 3000;
  await bed.sync([]);
  bed.assertRight();
  await bed.sync(service([1]), "delete");
  bed.rules.doubt();
  await bed.sync([]);
  bed.now = 9000;
  await bed.sync([]);
  bed.assertRight();
});

Deno.test("what the node refuses is tried again with everything compared", async () => {
  const bed = new FamilyBed();
  await bed.sync(service([1]));
  bed.node.refusals = 1;
  await assert.rejects(() => bed.sync(service([1, 2])), RefusedTransaction);
  assert.ok(bed.rules.doubtful);
  const { full } = await bed.sync([]);
  assert.ok(full);
  bed.assertRight();
});

Deno.test("when the node goes on refusing, its table is made anew in one go", async () => {
  const bed = new FamilyBed();
  await bed.sync(service([1], sticky(60)));
  bed.node.refusals = 3;
  await assert.rejects(() => bed.sync(service([1, 2])), RefusedTransaction);
  await assert.rejects(() => bed.sync([]), RefusedTransaction);
  await assert.rejects(() => bed.sync([]), RefusedTransaction);
  await bed.sync([]);
  assert.equal(bed.node.applied.at(-1)![0].action, "delete-table");
  bed.assertRight();
  // That it was needed once is forgotten.
  bed.rules.doubt();
  await bed.sync(service([1]));
  assert.notEqual(bed.node.applied.at(-1)![0].action, "delete-table");
  bed.assertRight();
});

Deno.test("a table that is in the way is made anew", async () => {
  const bed = new FamilyBed();
  await bed.sync(service([1]));
  const sets = bed.table.sets.map((set) =>
    set.name === "service-ips" ? { ...set, key: ["ipv4_addr"], elements: [] } : set
  );
  bed.node.tables.set("ip", { ...bed.table, sets });
  bed.rules.doubt();
  await bed.sync([]);
  bed.assertRight();
});

Deno.test("what an older kube-proxy left is put right", async () => {
  const bed = new FamilyBed();
  await bed.sync(service([1]));
  const base = {
    type: "filter",
    hook: "output",
    priority: -90,
    policy: "accept",
    devices: [],
  } as const;
  const older: Chain = { ...bed.table.chains[0], name: "filter-output-post-dnat", base };
  const chains = bed.table.chains.map((chain) =>
    chain.name === "filter-input" ? { ...chain, base: { ...chain.base!, priority: -110 } } : chain
  );
  bed.node.tables.set("ip", { ...bed.table, chains: [...chains, older] });
  const drift = await bed.rules.drift();
  assert.deepEqual(drift.map(({ name, problem }) => `${name} ${problem}`), [
    "filter-input changed",
    "filter-output-post-dnat unexpected",
  ]);
  bed.rules.doubt();
  await bed.sync([]);
  bed.assertRight();
});

Deno.test("a flush is noticed", async () => {
  const bed = new FamilyBed();
  assert.equal(await bed.rules.lost(), null);
  await bed.sync(service([1]));
  assert.equal(await bed.rules.lost(), null);
  const { table } = bed;
  bed.node.tables.set("ip", {
    ...table,
    chains: table.chains.map((chain) => ({ ...chain, rules: [] })),
  });
  assert.equal(await bed.rules.lost(), "the table was flushed");
  bed.node.tables.set("ip", {
    ...table,
    chains: table.chains.map((chain) => ({ ...chain, rules: chain.rules.slice(0, 1) })),
  });
  assert.equal(await bed.rules.lost(), "someone changed chain services");
  bed.node.tables.delete("ip");
  assert.equal(await bed.rules.lost(), "the table was removed");
});

Deno.test("drift is told by what is missing and what should not be there", async () => {
  const bed = new FamilyBed();
  assert.deepEqual(await bed.rules.drift(), []);
  await bed.sync(service([1]));
  assert.deepEqual(await bed.rules.drift(), []);
  const { table } = bed;
  const services = table.chains.find(({ name }) => name === "services")!;
  const intruder = { name: "intruder", base: null, comment: null, handle: null, rules: [] };
  bed.node.tables.set("ip", {
    ...table,
    chains: [
      ...table.chains.filter(({ name }) => name !== "services" && !name.startsWith("endpoint-")),
      { ...services, rules: services.rules.toReversed() },
      intruder,
    ],
    sets: table.sets.map((set) => set.name === "cluster-ips" ? { ...set, elements: [] } : set),
  });
  const drift = await bed.rules.drift();
  assert.deepEqual(
    drift.map(({ part, name, problem, missing, unexpected }) => ({
      what: `${part} ${name.replace(/-[A-Z2-7]{8}-/, "-")} ${problem}`,
      missing,
      unexpected,
    })),
    [
      { what: "chain services changed", missing: [], unexpected: [] },
      {
        what: "chain endpoint-ns/web/tcp/__10.0.0.1/8080 missing",
        missing: [
          "ip saddr 10.0.0.1 jump mark-for-masquerade",
          "meta l4proto tcp dnat to 10.0.0.1:8080",
        ],
        unexpected: [],
      },
      { what: "chain intruder unexpected", missing: [], unexpected: [] },
      { what: "set cluster-ips changed", missing: ["172.30.0.1"], unexpected: [] },
    ],
  );
});

Deno.test("changes one after the other leave a node as a clean start would", async () => {
  const steps = fc.array(fc.tuple(fc.array(clusterChange, { maxLength: 6 }), fc.boolean()), {
    minLength: 1,
    maxLength: 8,
  });
  await fc.assert(
    fc.asyncProperty(plannerConfig, steps, fc.boolean(), async (config, steps, removesChains) => {
      const options = { ...OPTIONS, nodePortAddresses: config.nodePortAddresses };
      const planner = new Planner({ ...config, detectLocalMode: "ClusterCIDR" });
      const node = new FakeNode();
      let now = 0;
      const rules = new FamilyRules("IPv4", node, { removesChains, now: () => now });
      for (const [changes, doubt] of [...steps, [[], false], [[], false]] as typeof steps) {
        const change = planner.update(changes);
        if (doubt) rules.doubt();
        if (rules.doubtful || change.node !== null) await rules.syncAll(planner.plan, options);
        else await rules.syncChange(planner.plan, change, options);
        now += 1000;
      }
      const right = sortedTable(tableOf(render(planner.plan, "IPv4", options).rules));
      assert.deepEqual(sortedTable(node.tables.get("ip")!), right);
      assert.deepEqual(await rules.drift(), []);
    }),
    { numRuns: 150 },
  );
});

Deno.test("a table that someone changed is put right in one go", async () => {
  const bed = new FamilyBed();
  await bed.sync([
    ...service([1, 2], sticky(60)),
    ...service([3], { clusterIP: "172.30.0.2" }, "b"),
  ]);
  const right = bed.table;
  const what = fc.constantFrom("flush", "swap", "duplicate", "drop-elements", "add-chain");
  const edits = fc.array(fc.tuple(fc.nat(), what), { minLength: 1, maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(edits, async (edits) => {
      let table = right;
      for (const [at, what] of edits) table = tampered(table, at, what);
      bed.node.tables.set("ip", table);
      // Clients that were forgotten are no drift.
      const isOther = !isDeepStrictEqual(sortedTable(table), sortedTable(right));
      assert.equal((await bed.rules.drift()).length > 0, isOther);
      bed.rules.doubt();
      await bed.sync([]);
      bed.assertRight();
    }),
    { numRuns: 100 },
  );
});

function tampered(table: Table, at: number, what: string): Table {
  const { chains, sets } = table;
  const chain = chains[at % chains.length];
  const withRules = (rules: Chain["rules"]) => ({
    ...table,
    chains: chains.map((one) => one === chain ? { ...chain, rules } : one),
  });
  switch (what) {
    case "flush":
      return withRules([]);
    case "swap":
      return withRules(chain.rules.toReversed());
    case "duplicate":
      return withRules([...chain.rules, ...chain.rules]);
    case "drop-elements": {
      const set = sets[at % sets.length];
      return { ...table, sets: sets.map((one) => one === set ? { ...set, elements: [] } : one) };
    }
    default:
      return { ...table, chains: [...chains, { ...chain, base: null, name: `intruder/${at}` }] };
  }
}

Deno.test("nothing is made that a table cannot name", async () => {
  const bed = new FamilyBed();
  const { problems } = await bed.sync(service([1], {}, "we b"));
  assert.match(problems[0].message, /name "we b": expected letters/);
  bed.assertRight();
});

Deno.test("what was sent is told as nft would take it", async () => {
  const bed = new FamilyBed();
  await bed.sync([]);
  const { sent } = await bed.sync(service([1]));
  assert.equal(sent.where, "IPv4");
  assert.match(
    sent.text,
    /^add chain ip kube-proxy endpoint-[A-Z2-7]{8}-ns\/web\/tcp\/__10\.0\.0\.1\/8080$/m,
  );
  assert.match(sent.text, /^add element ip kube-proxy cluster-ips \{ 172\.30\.0\.1 \}$/m);
  const operations: readonly Operation[] = bed.node.applied.at(-1)!;
  assert.equal(sent.text.trimEnd().split("\n").length, operations.length);
});
