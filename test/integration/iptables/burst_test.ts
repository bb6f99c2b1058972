/** Very many changes in a short time. */

import assert from "node:assert/strict";
import type { ClusterObject } from "../../../src/cluster/objects.ts";
import type { AgentProcess } from "./agent.ts";
import { type Bed, faultTest } from "./bed.ts";
import { SERVERS } from "./network.ts";
import { service, slice } from "./objects.ts";

const VIP = "172.30.0.1";
const MIN_SYNC_MS = 1000;
const CHANGES = 1000;
const SERVICES = 40;

/**
 * Sends changes within a second: Services come, change their endpoints and go. The last state of
 * each is what counts: the cluster after that.
 */
async function burst(agent: AgentProcess): Promise<readonly ClusterObject[]> {
  const begun = performance.now();
  const state = new Map<number, readonly ClusterObject[]>();
  for (let i = 0; i < CHANGES; i++) {
    const number = (i * 7) % SERVICES;
    const name = `burst-${number}`;
    const present = state.get(number);
    if (present !== undefined && i % 5 === 0) {
      await agent.update([], present);
      state.delete(number);
    } else {
      const endpoints = [`10.180.1.${1 + i % 250}`, `10.180.2.${1 + i % 250}`].slice(i % 2);
      const next = [service(name, `172.30.1.${number + 1}`), slice(name, endpoints)];
      await agent.update(next);
      state.set(number, next);
    }
    const ahead = i - (performance.now() - begun);
    if (ahead > 10) await new Promise((resolve) => setTimeout(resolve, ahead));
  }
  const web = [service("web", VIP), slice("web", [SERVERS[1]])];
  await agent.update(web);
  return [...web, ...[...state.values()].flat()];
}

/** Resolves when the node has what was changed last. */
async function arrived(bed: Bed, agent: AgentProcess): Promise<void> {
  do {
    await agent.synced();
  } while (await bed.network.client.dial(VIP, 80) !== SERVERS[1]);
}

function countSyncs(agent: AgentProcess): number {
  return agent.reports.filter((report) => "synced" in report).length;
}

faultTest("1,000 changes in a second make a few syncs and end right", async (bed) => {
  const agent = await bed.agentWith([service("web", VIP), slice("web", [SERVERS[0]])], {
    minSyncMs: MIN_SYNC_MS,
  });
  const { client } = bed.network;
  await client.begin(VIP, 80);
  const begun = performance.now();
  const objects = await burst(agent);
  await arrived(bed, agent);
  const tookMs = performance.now() - begun;
  const traffic = await client.end();
  assert.deepEqual(traffic.failures, []);
  // One more than whole intervals fit in; the first sync was that of the start.
  const syncs = countSyncs(agent) - 1;
  assert.ok(syncs <= Math.ceil(tookMs / MIN_SYNC_MS) + 1, `${syncs} syncs in ${tookMs} ms`);
  assert.deepEqual(await bed.rules(), await bed.cleanRules(objects));
});

faultTest("a burst whose first syncs fail ends right, too", async (bed) => {
  const agent = await bed.agentWith([service("web", VIP), slice("web", [SERVERS[0]])], {
    minSyncMs: 200,
    retryMs: 200,
  });
  bed.programs.set("iptables-restore", { kind: "killed", signal: "KILL" });
  const objects = await burst(agent);
  await agent.logged(/^sync failed/);
  bed.programs.set("iptables-restore", null);
  await arrived(bed, agent);
  assert.deepEqual(await bed.rules(), await bed.cleanRules(objects));
});
