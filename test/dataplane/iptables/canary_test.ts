import assert from "node:assert/strict";
import { canaryLost } from "../../../src/dataplane/iptables/canary.ts";

/** Tables that lose their canary after so many looks at them. */
function flushing(after: Record<string, number>) {
  return {
    hasChain: (_family: string, table: string, chain: string) => {
      assert.equal(chain, "KUBE-PROXY-CANARY");
      return Promise.resolve(after[table]-- > 0);
    },
  };
}

async function lost(after: Record<string, number>): Promise<[lost: boolean, sleeps: number]> {
  let sleeps = 0;
  const result = await canaryLost(flushing(after), "IPv4", (ms) => {
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
