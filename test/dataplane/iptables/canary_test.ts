import assert from "node:assert/strict";
import { FlushWatch } from "../../../src/dataplane/iptables/canary.ts";

const JUMPS: Readonly<Record<string, string>> = {
  "nat POSTROUTING": '-A POSTROUTING -m comment --comment "a" -j KUBE-POSTROUTING',
  "filter FORWARD": '-P FORWARD ACCEPT\n-A FORWARD -m comment --comment "b" -j KUBE-FORWARD\n',
};

/** Tables that lose their canary after so many looks at them. */
function flushing(after: Record<string, number>, jumps = JUMPS) {
  return {
    listChain: (_family: string, table: string, chain: string) => {
      if (chain !== "KUBE-PROXY-CANARY") return Promise.resolve(jumps[`${table} ${chain}`]);
      return Promise.resolve(after[table]-- > 0 ? "-N KUBE-PROXY-CANARY" : null);
    },
  };
}

async function lost(
  after: Record<string, number>,
  jumps = JUMPS,
): Promise<[lost: boolean, sleeps: number]> {
  let sleeps = 0;
  const watch = new FlushWatch("IPv4", flushing(after, jumps), {
    now: () => 0,
    sleep(ms) {
      sleeps += ms;
      return Promise.resolve();
    },
  });
  const result = await watch.flushed();
  return [result, sleeps];
}

Deno.test("a canary that is there is no loss", async () => {
  assert.deepEqual(await lost({ mangle: 1, nat: 0, filter: 0 }), [false, 0]);
});

Deno.test("a flush is waited for until every table is done, but no longer than five seconds", async () => {
  assert.deepEqual(await lost({ mangle: 0, nat: 0, filter: 0 }), [true, 0]);
  assert.deepEqual(await lost({ mangle: 0, nat: 3, filter: 1 }), [true, 300]);
  assert.deepEqual(await lost({ mangle: 0, nat: Infinity, filter: 0 }), [true, 5000]);
});

Deno.test("a table that was only emptied has lost its jump to ours", async () => {
  for (const chain of Object.keys(JUMPS)) {
    const jumps = { ...JUMPS, [chain]: "-P X ACCEPT\n-A X -j KUBE-FORWARD-NOT" };
    assert.deepEqual(await lost({ mangle: 2, nat: 2, filter: 2 }, jumps), [true, 500]);
    // The first of a flush of all.
    assert.deepEqual(await lost({ mangle: 1, nat: 2, filter: 0 }, jumps), [true, 700]);
  }
});

Deno.test("a table that is slow to read is looked at less often", async () => {
  let now = 0;
  let looks = 0;
  const { listChain } = flushing({ mangle: Infinity });
  const watch = new FlushWatch("IPv4", {
    listChain(family, table, chain) {
      if (table === "nat") {
        now += 1200;
        looks++;
      }
      return listChain(family, table, chain);
    },
  }, { now: () => now, sleep: () => Promise.resolve() });
  for (let i = 0; i < 40; i++) {
    assert.equal(await watch.flushed(), false);
    now += 30_000;
  }
  // Twenty minutes; a look every two.
  assert.equal(looks, 10);
});
