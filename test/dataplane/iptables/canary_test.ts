import assert from "node:assert/strict";
import { tablesFlushed } from "../../../src/dataplane/iptables/canary.ts";

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
  const result = await tablesFlushed(flushing(after, jumps), "IPv4", (ms) => {
    sleeps += ms;
    return Promise.resolve();
  });
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
