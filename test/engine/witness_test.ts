/** The engine that is made when it is asked. */

import fc from "fast-check";
import assert from "node:assert/strict";
import type { LookupResult, PacketQuery } from "../../src/engine/handle.ts";
import { LocalEngine } from "../../src/engine/local.ts";
import { WitnessEngine } from "../../src/engine/witness.ts";
import type { PlanChange } from "../../src/plan/plan.ts";
import { NODE, service, SMALL } from "./harness.ts";

const BACKENDS = ["10.60.0.2:80", "10.60.0.3:80", "10.60.0.4:80"];
const NUMBERS = [1, 2, 3];
const NOTHING: PlanChange = { node: null, updated: [], removed: [] };

const questions = NUMBERS.map((number): PacketQuery => ({
  source: "10.50.0.2",
  dest: `10.99.0.${number}`,
  port: 80,
  protocol: "TCP",
}));

function put(number: number, backends: readonly string[]): PlanChange {
  const spec = { name: `service-${number}`, address: `10.99.0.${number}`, backends };
  return { ...NOTHING, updated: [service({ ...spec, scheduler: "random" })] };
}

function remove(number: number): PlanChange {
  return { ...NOTHING, removed: [`default/service-${number}`] };
}

/** What does not depend on chance, or on the order in which backends came. */
function certain({ backend, backends, ...rest }: LookupResult) {
  const places = backends.map(({ address, port, probability }) => ({ address, port, probability }));
  return {
    ...rest,
    chosen: backend !== null,
    backends: places.sort((a, b) => a.address < b.address ? -1 : 1),
  };
}

/** What makes engines, and counts them. */
function counting() {
  let made = 0;
  return {
    get made() {
      return made;
    },
    make: () => {
      made++;
      return LocalEngine.create(SMALL);
    },
  };
}

type Step =
  | { readonly do: "put"; readonly number: number; readonly backends: readonly string[] }
  | { readonly do: "remove"; readonly number: number }
  | { readonly do: "ask" | "wait" };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constant("put" as const),
    number: fc.constantFrom(...NUMBERS),
    backends: fc.subarray(BACKENDS),
  }),
  fc.record({ do: fc.constant("remove" as const), number: fc.constantFrom(...NUMBERS) }),
  fc.record({ do: fc.constantFrom("ask" as const, "wait" as const) }),
);

Deno.test("answers as an engine that has followed every change, whenever it is asked", async () => {
  const run = async (steps: readonly Step[]) => {
    const engines = [LocalEngine.create(SMALL), new WitnessEngine(counting())];
    // Nothing is waited for unless a step says so: changes come while the engine is being filled.
    const applied: Promise<void>[] = [];
    const asked: Promise<LookupResult[]>[][] = [];
    const apply = (change: PlanChange) =>
      applied.push(...engines.map((engine) => engine.apply(change)));
    const ask = () => asked.push(engines.map((engine) => engine.lookup(questions)));
    apply({ ...NOTHING, node: NODE });
    for (const one of steps) {
      if (one.do === "put") apply(put(one.number, one.backends));
      else if (one.do === "remove") apply(remove(one.number));
      else if (one.do === "ask") ask();
      else await Promise.all(applied);
    }
    ask();
    await Promise.all(applied);
    for (const answers of asked) {
      const [expected, actual] = await Promise.all(answers);
      assert.deepEqual(actual.map(certain), expected.map(certain));
    }
  };
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 30 }), run), { numRuns: 60 });
});

Deno.test("no engine is made for changes and counters", async () => {
  const engines = counting();
  const witness = new WitnessEngine(engines);
  await witness.apply({ ...NOTHING, node: NODE });
  await witness.apply(put(1, BACKENDS));
  assert.deepEqual(await witness.conntrack(), { entries: [], next: null });
  const counters = await witness.counters();
  assert.equal(engines.made, 0);
  assert.deepEqual(counters, await LocalEngine.create().counters());
});

Deno.test("one engine for many questions, and another one when nobody has asked for long", async () => {
  const engines = counting();
  const witness = new WitnessEngine({ ...engines, idleMs: 20 });
  await witness.apply({ ...NOTHING, node: NODE, updated: put(1, BACKENDS).updated });
  await Promise.all([witness.lookup(questions), witness.lookup(questions)]);
  assert.equal(engines.made, 1);
  // Timers run in the order in which they are due.
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setTimeout(resolve, 21));
  await witness.apply(remove(1));
  const [answer] = await witness.lookup(questions);
  assert.equal(engines.made, 2);
  assert.equal(answer.verdict, "PASS");
});

Deno.test("an engine that cannot be filled is tried again", async () => {
  let failing = true;
  const witness = new WitnessEngine({
    make() {
      if (failing) throw new RangeError("no memory");
      return LocalEngine.create(SMALL);
    },
  });
  await witness.apply({ ...NOTHING, node: NODE });
  await assert.rejects(witness.lookup(questions), /no memory/);
  failing = false;
  await witness.apply(put(1, BACKENDS));
  assert.equal((await witness.lookup(questions))[0].verdict, "FORWARD");
});
