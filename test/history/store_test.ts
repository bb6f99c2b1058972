import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { decodeLine, encodeLine } from "../../src/history/codec.ts";
import { History, HISTORY_LIMITS } from "../../src/history/history.ts";
import { HistoryStore, StateDirError } from "../../src/history/store.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { Planner } from "../../src/plan/planner.ts";
import { clusterChange, plannerConfig } from "../plan/arbitraries.ts";
import { copyOf, outcome, sent } from "./rig.ts";

/** Text to its lines. */
class TextLines extends TransformStream<string, string> {
  constructor() {
    let rest = "";
    super({
      transform(text, controller) {
        const lines = (rest + text).split("\n");
        rest = lines.pop()!;
        for (const line of lines) controller.enqueue(line);
      },
    });
  }
}

/** A change of nothing, on a node. */
const NOTHING = {
  node: { name: "n", addresses: [], nodePortAddresses: [], podNetworks: [] },
  updated: [],
  removed: [],
};

type Steps = readonly (readonly Parameters<Planner["update"]>[0][number][])[];

/** Entries and plans, as one process after another would have them. */
class Keeper {
  readonly plans = new Map<number, Plan>();

  private constructor(
    readonly history: History,
    readonly store: HistoryStore,
  ) {}

  static async open(folder: string, appendedBytes?: number): Promise<Keeper> {
    const { store, past } = await HistoryStore.open(folder, appendedBytes);
    const history = new History(HISTORY_LIMITS, past);
    store.follow(history);
    return new Keeper(history, store);
  }

  /** What there is, to be compared. */
  get all() {
    return this.history.entries().map((entry) => ({
      entry,
      services: this.history.changedServices(entry.id),
      plan: copyOf(this.history.planAt(entry.id)!),
    }));
  }

  run(planner: Planner, steps: Steps): void {
    for (const [i, changes] of steps.entries()) {
      const change = planner.update(changes);
      const failed = { ok: false, error: "no" };
      const tried = i % 3 === 1;
      const text = [sent("IPv4", `-A X -j ${i}\n`)];
      this.history.record(outcome({ change, changes, sent: text, ...tried ? failed : {} }));
      if (tried) this.history.record(outcome({ change, changes: [], sent: text }));
    }
  }
}

async function inFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await test(`${folder}/state`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const steps = fc.array(fc.array(clusterChange, { maxLength: 6 }), { minLength: 1, maxLength: 8 });

Deno.test("a history is the same after restarts, also when its file was made anew", async () => {
  await fc.assert(
    fc.asyncProperty(
      plannerConfig,
      steps,
      steps,
      fc.constantFrom(undefined, 0, 2000),
      async (config, first, second, appendedBytes) => {
        await inFolder(async (folder) => {
          const one = await Keeper.open(folder, appendedBytes);
          one.run(new Planner(config), first);
          const { all } = one;
          await one.store.close();

          const two = await Keeper.open(folder, appendedBytes);
          assert.deepEqual(two.all, all);
          // The next process learns of the cluster from nothing.
          const planner = new Planner(config);
          const whole = first.flat();
          two.run(planner, [whole, ...second]);
          const later = two.all;
          await two.store.close();
          assert.deepEqual(later.at(-1), all.at(-1));

          const three = await Keeper.open(folder);
          assert.deepEqual(three.all, later);
          await three.store.close();
        });
      },
    ),
    { numRuns: 60 },
  );
});

Deno.test("a file that is cut or damaged anywhere gives what is whole before that", async () => {
  await inFolder(async (folder) => {
    const keeper = await Keeper.open(folder);
    const [config] = fc.sample(plannerConfig, { seed: 1, numRuns: 1 });
    const [batches] = fc.sample(
      fc.array(fc.array(clusterChange, { minLength: 3, maxLength: 6 }), { minLength: 6 }),
      { seed: 2, numRuns: 1 },
    );
    keeper.run(new Planner(config), batches);
    const { all } = keeper;
    assert.ok(all.length > 4);
    await keeper.store.close();
    const file = await Deno.readFile(`${folder}/history`);
    const check = async (damaged: Uint8Array) => {
      await Deno.writeFile(`${folder}/history`, damaged);
      const again = await Keeper.open(folder);
      const found = again.all;
      // The last entry that is left may be without the outcome of its later attempts.
      assert.deepEqual(
        found.map(({ entry: { id }, plan }) => ({ id, plan })),
        all.slice(all.length - found.length).map(({ entry: { id }, plan }) => ({ id, plan })),
      );
      // What is recorded now is there at the next start.
      again.history.record(outcome({ change: NOTHING, changes: [], sent: [sent("IPv4", "x\n")] }));
      const later = again.all;
      await again.store.close();
      const third = await Keeper.open(folder);
      assert.deepEqual(third.all, later);
      await third.store.close();
      return found.length;
    };
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: file.length }), fc.nat({ max: 255 }), async (at, value) => {
        await check(file.slice(0, at));
        const changed = new Uint8Array(file);
        if (at < file.length) changed[at] ^= value || 1;
        await check(changed);
      }),
      { numRuns: 60 },
    );
    assert.equal(await check(file), all.length);
  });
});

Deno.test("a process that is killed leaves all that it had written", async () => {
  await inFolder(async (folder) => {
    const script = fileURLToPath(new URL("./recording_process.ts", import.meta.url));
    let last = 0;
    for (const patience of [40, 90, 150]) {
      const child = new Deno.Command(Deno.execPath(), {
        args: ["run", "--no-check", "--allow-read", "--allow-write", script, folder],
        stdout: "piped",
      }).spawn();
      const lines = child.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLines());
      let told = 0;
      for await (const line of lines) {
        last = Number(line);
        if (++told === patience) child.kill("SIGKILL");
      }
      await child.status;
      const keeper = await Keeper.open(folder);
      const { all } = keeper;
      assert.ok(all[0].entry.id >= last, `${all[0].entry.id} of ${last}`);
      for (const { entry, plan } of all) {
        const newest = [...plan.services.values()].map((one) => one.localReadyEndpoints);
        assert.equal(Math.max(...newest), entry.id);
      }
      await keeper.store.close();
    }
  });
});

Deno.test("files are made anew without what is kept no more", async () => {
  await inFolder(async (folder) => {
    const keeper = await Keeper.open(folder, 4000);
    for (let i = 0; i < 3000; i++) {
      keeper.history.record(
        outcome({ change: NOTHING, changes: [], sent: [sent("IPv4", `${i}\n`)] }),
      );
    }
    await keeper.store.close();
    const { size } = await Deno.stat(`${folder}/history`);
    assert.ok(size < 1_000_000, String(size));
    const names = (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name).sort();
    assert.deepEqual(names, ["history", "history.lock"]);
    const { mode } = await Deno.stat(`${folder}/history`);
    assert.equal(mode! & 0o077, 0, "nobody else may read it");
  });
});

Deno.test("a folder is one process's alone, and must be a folder", async () => {
  await inFolder(async (folder) => {
    const keeper = await Keeper.open(folder);
    await assert.rejects(HistoryStore.open(folder), (error) => {
      assert.ok(error instanceof StateDirError);
      assert.equal(error.message, `${folder}: another process keeps its state there`);
      return true;
    });
    await keeper.store.close();
    await (await Keeper.open(folder)).store.close();
    await assert.rejects(HistoryStore.open(`${folder}/history.lock`), StateDirError);
  });
});

Deno.test("when the folder is gone the history goes on, and is kept again when it is back", async () => {
  await inFolder(async (folder) => {
    const keeper = await Keeper.open(folder);
    const record = () =>
      keeper.history.record(outcome({ change: NOTHING, changes: [], sent: [sent("IPv4", "x\n")] }));
    await Deno.rename(folder, `${folder}.away`);
    record();
    await keeper.store.written;
    record();
    await Deno.rename(`${folder}.away`, folder);
    record();
    const { all } = keeper;
    await keeper.store.close();
    const again = await Keeper.open(folder);
    assert.deepEqual(again.all, all);
    assert.equal(all.length, 3);
    await again.store.close();
  });
});

Deno.test("lines are read as they were written, and any other text is none", () => {
  const line = { gone: "default/ü\n" };
  const text = encodeLine(line);
  assert.ok(text.endsWith("\n"));
  assert.deepEqual(decodeLine(text.slice(0, -1)), line);
  fc.assert(fc.property(fc.string(), (other) => assert.equal(decodeLine(other), null)));
});
