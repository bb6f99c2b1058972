/** When families are compared with the node, and what becomes of failures. */

import { getLogger } from "@logtape/logtape";
import assert from "node:assert/strict";
import type { FamilyAttempt } from "../../src/dataplane/dataplane.ts";
import {
  type KeptFamily,
  type SyncOutcome,
  Upkeep,
  type UpkeepEffects,
  type UpkeepOptions,
} from "../../src/dataplane/upkeep.ts";
import type { Family } from "../../src/net/address.ts";
import type { Plan, PlanChange } from "../../src/plan/plan.ts";
import { plannerOf, service } from "./ipvs/plans.ts";

const PLAN: Plan = {
  node: { name: "node1", addresses: [], nodePortAddresses: [], podNetworks: [] },
  services: new Map(),
};
const CHANGE: PlanChange = { node: null, updated: [], removed: [] };

/** A change of a Service with a UDP port. */
const OF_UDP: PlanChange = {
  ...CHANGE,
  updated: [
    ...plannerOf([service("dns", "10.96.0.10", [{ port: 53, protocol: "UDP" }])]).plan
      .services.values(),
  ],
};

class Refusal extends Error {}

/** A family in memory that can be made to fail. */
class Kept implements KeptFamily<SyncOutcome> {
  doubtful = true;
  refuses: "changes" | "everything" | null = null;
  loss: string | null = null;
  calls: string[] = [];

  constructor(readonly family: Family) {}

  doubt(): void {
    this.doubtful = true;
  }

  syncAll(): Promise<SyncOutcome> {
    this.calls.push("all");
    if (this.refuses === "everything") return Promise.reject(new Error(`${this.family} fails`));
    this.doubtful = false;
    return Promise.resolve({ family: this.family, full: true, lines: 0 });
  }

  syncChange(): Promise<SyncOutcome> {
    this.calls.push("change");
    if (this.refuses === null) {
      return Promise.resolve({ family: this.family, full: false, lines: 0 });
    }
    this.doubtful = true;
    return Promise.reject(new Refusal("refused"));
  }

  lost(): Promise<string | null> {
    const found = this.loss;
    this.loss = null;
    return Promise.resolve(found);
  }
}

function upkeepOf(
  families: readonly Kept[],
  options: UpkeepOptions = {},
  effects: Partial<UpkeepEffects<SyncOutcome>> = {},
): Upkeep<SyncOutcome> {
  return new Upkeep(
    families,
    { watchPeriodMs: 0, confirmationMs: 0, ...options },
    {
      logger: getLogger(["switchyard", "test"]),
      inside: (fn) => fn(),
      isRefusal: (error) => error instanceof Refusal,
      engine: { apply: () => Promise.resolve() },
      synced() {},
      ...effects,
    },
  );
}

Deno.test("everything is compared at first, for another node and when in doubt, else changes", async () => {
  const kept = new Kept("IPv4");
  const upkeep = upkeepOf([kept], {}, { beforeComparing: () => void kept.calls.push("prepare") });
  await upkeep.sync(PLAN, CHANGE);
  await upkeep.sync(PLAN, CHANGE);
  await upkeep.sync(PLAN, { ...CHANGE, node: PLAN.node });
  kept.doubt();
  await upkeep.sync(PLAN, CHANGE);
  await upkeep.sync(PLAN, CHANGE);
  const all = ["prepare", "all"];
  assert.deepEqual(kept.calls, [...all, "change", ...all, ...all, "change"]);
  const impatient = new Kept("IPv4");
  const hourly = upkeepOf([impatient], { fullSyncPeriodMs: 0 });
  await hourly.sync(PLAN, CHANGE);
  await hourly.sync(PLAN, CHANGE);
  assert.deepEqual(impatient.calls, ["all", "all"]);
});

Deno.test("a refused change is followed by a comparison, and both are told", async () => {
  const kept = new Kept("IPv4");
  let done: readonly SyncOutcome[] = [];
  const upkeep = upkeepOf([kept], {}, { synced: (syncs) => done = syncs });
  await upkeep.sync(PLAN, CHANGE);
  const attempts: Omit<FamilyAttempt, "durationMs">[] = [];
  upkeep.observe({
    attempted: ({ durationMs: _, ...attempt }) => attempts.push(attempt),
    conntrackReconciled() {},
  });
  kept.refuses = "changes";
  await upkeep.sync(PLAN, CHANGE);
  assert.deepEqual(done, [{ family: "IPv4", full: true, lines: 0 }]);
  assert.deepEqual(attempts, [
    { family: "IPv4", full: false, ok: false, refused: true },
    { family: "IPv4", full: true, ok: true, refused: false },
  ]);
});

Deno.test("a family that fails leaves the other alone, and everything is due again", async () => {
  const families = [new Kept("IPv4"), new Kept("IPv6")];
  const told: string[] = [];
  const upkeep = upkeepOf(families, {}, {
    synced: (syncs) => told.push(...syncs.map(({ family }) => family)),
    programmed: () => void told.push("all"),
    engine: { apply: () => Promise.resolve(void told.push("engine")) },
  });
  upkeep.observe({
    attempted() {},
    conntrackReconciled: ({ family }) => told.push(`${family} UDP`),
  });
  families[0].refuses = "everything";
  await assert.rejects(upkeep.sync(PLAN, OF_UDP), /^Error: IPv4 fails$/);
  assert.deepEqual(told.splice(0), ["IPv6", "IPv6 UDP"]);
  families[1].refuses = "everything";
  await assert.rejects(
    upkeep.sync(PLAN, CHANGE),
    (error) => error instanceof AggregateError && error.message === "IPv4 fails; IPv6 fails",
  );
  assert.deepEqual(told, []);
  families[0].refuses = families[1].refuses = null;
  await upkeep.sync(PLAN, CHANGE);
  assert.deepEqual(told, ["IPv4", "IPv6", "all", "engine"]);
  await upkeep.sync(PLAN, CHANGE);
  assert.deepEqual(families[1].calls, ["all", "all", "all", "change"]);
});

Deno.test("after the first sync another comparison is asked for, once", async () => {
  const kept = new Kept("IPv4");
  const asked = Promise.withResolvers<void>();
  const upkeep = upkeepOf([kept], { confirmationMs: 1, requestSync: asked.resolve });
  await upkeep.sync(PLAN, CHANGE);
  await asked.promise;
  await upkeep.sync(PLAN, CHANGE);
  await upkeep.sync(PLAN, CHANGE);
  assert.deepEqual(kept.calls, ["all", "all", "change"]);
  await upkeep.stop();
});

Deno.test("what is lost between syncs is doubted, and a sync asked for", async () => {
  const kept = new Kept("IPv4");
  const asked = Promise.withResolvers<void>();
  const upkeep = upkeepOf([kept], { watchPeriodMs: 1, requestSync: asked.resolve });
  await upkeep.sync(PLAN, CHANGE);
  kept.loss = "tables were flushed";
  await asked.promise;
  assert.ok(kept.doubtful);
  await upkeep.stop();
});

Deno.test("what is noticed of a family is compared soon, what may be is looked for, both with pauses", async () => {
  const families = [new Kept("IPv4"), new Kept("IPv6")];
  const asked: string[] = [];
  let heard = Promise.withResolvers<void>();
  const requestSync = () => {
    asked.push(families.map(({ doubtful }) => doubtful ? "doubted" : "known").join(" "));
    heard.resolve();
  };
  const upkeep = upkeepOf(families, { requestSync, noticePauseMs: 1 });
  await upkeep.sync(PLAN, CHANGE);
  for (let i = 0; i < 5; i++) upkeep.noticed("IPv6");
  await heard.promise;
  assert.deepEqual(asked, ["known doubted"]);
  await upkeep.sync(PLAN, CHANGE);
  assert.deepEqual(families.map(({ calls }) => calls), [["all", "change"], ["all", "all"]]);
  heard = Promise.withResolvers();
  families[0].loss = "the table was removed";
  upkeep.noticed(null);
  await heard.promise;
  assert.deepEqual(asked, ["known doubted", "doubted known"]);
  await upkeep.stop();
  upkeep.noticed("IPv4");
  const patient = upkeepOf(families, { requestSync, noticePauseMs: 3_600_000 });
  await patient.sync(PLAN, CHANGE);
  heard = Promise.withResolvers();
  patient.noticed("IPv4");
  await heard.promise;
  await patient.sync(PLAN, CHANGE);
  patient.noticed("IPv6");
  assert.ok(families[1].doubtful);
  // The pause is long: nothing is left that would keep this process.
  await patient.stop();
  assert.equal(asked.length, 3);
});
