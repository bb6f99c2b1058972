/**
 * What a proxy on the node costs, and how fast it follows.
 *
 * @module
 */

import type { NodeLab } from "../../test/integration/agent/node_lab.ts";
import type { RealServer } from "../../test/integration/agent/api_server.ts";
import type { Target } from "../../src/lab/probe.ts";
import { type Contender, RunningContender } from "./contender.ts";
import { clusterIP, PROBES, probeSlice, serviceName, slice } from "./objects.ts";

/** The figures of one contender in one round. */
export interface Figures {
  /** From its start to the answer of the last Service, seconds. */
  readonly firstSync: number;
  /** MiB. */
  readonly peak: number;
  readonly resting: number;
  /** Processor time until the first answer, seconds. */
  readonly startCpu: number;
  /** Without any change, thousandths of one processor. */
  readonly idleCpu: number;
  /** With changes, thousandths of one processor. */
  readonly busyCpu: number;
  /** From the API server's answer to a change to its effect for a client, milliseconds. */
  readonly latencies: readonly number[];
  /** Changes a second that were made meanwhile. */
  readonly rate: number;
}

/** What is measured. */
export interface Situation {
  readonly lab: NodeLab;
  readonly api: RealServer;
  readonly services: number;
  /** A folder with the iptables that is to be used; null: the node's own. */
  readonly programs: string | null;
  /** Length of the parts with and without changes. */
  readonly seconds: number;
}

const CHANGES_A_SECOND = 100;
const WRITERS = 8;
const FIRST_SYNC_LIMIT_MS = 600_000;
const SETTLED_MS = 25_000;

export async function measure(contender: Contender, situation: Situation): Promise<Figures> {
  const { lab, services, seconds, programs } = situation;
  const last = target(services + PROBES - 1);
  const start = performance.now();
  await using running = new RunningContender(contender, programs);
  while ((await lab.ask(last, 1, 200))[0].kind !== "answer") {
    if (performance.now() - start > FIRST_SYNC_LIMIT_MS) {
      throw new Error(`${contender.name}: no answer within ${FIRST_SYNC_LIMIT_MS / 1000} s`);
    }
    await sleep(20);
  }
  const firstSync = (performance.now() - start) / 1000;
  const startCpu = running.usage().cpu;
  // What comes after the start is not idleness: a second look at the node, and what that leaves.
  await sleep(SETTLED_MS);
  const rested = running.usage();
  await sleep(seconds * 1000);
  const { resident: resting, cpu } = running.usage();
  const busy = await follow(situation);
  const after = running.usage();
  return {
    firstSync,
    startCpu,
    peak: after.peak,
    resting,
    idleCpu: (cpu - rested.cpu) / seconds * 1000,
    busyCpu: (after.cpu - cpu) / busy.seconds * 1000,
    latencies: busy.latencies,
    rate: busy.rate,
  };
}

/** Makes changes for some seconds, and looks how long they take to be seen. */
async function follow({ lab, api, services, seconds }: Situation) {
  const start = performance.now();
  const elapsed = () => (performance.now() - start) / 1000;
  let made = 0;
  const writers = Array.from({ length: WRITERS }, async () => {
    while (elapsed() < seconds) {
      if (made > elapsed() * CHANGES_A_SECOND) {
        await sleep(10);
        continue;
      }
      const index = made++ * 7919 % services;
      await api.api.request("PATCH", pathOf(index), slice(index, 1 + made % 63));
    }
  });
  const latencies: number[] = [];
  const probes = Array.from({ length: PROBES }, async (_, i) => {
    const index = services + i;
    while (elapsed() < seconds) {
      await api.api.request("PATCH", pathOf(index), probeSlice(index, false));
      await changed(lab, target(index), "refused");
      await api.api.request("PATCH", pathOf(index), probeSlice(index, true));
      const since = performance.now();
      await changed(lab, target(index), "answer");
      latencies.push(performance.now() - since);
    }
  });
  await Promise.all([...writers, ...probes]);
  return { latencies, seconds: elapsed(), rate: made / seconds };
}

async function changed(lab: NodeLab, to: Target, kind: "answer" | "refused"): Promise<void> {
  const start = performance.now();
  while ((await lab.ask(to, 1, 500))[0].kind !== kind) {
    if (performance.now() - start > 60_000) throw new Error("a change was not seen in a minute");
    await sleep(5);
  }
}

const target = (index: number): Target => ({
  address: clusterIP(index),
  port: 80,
  protocol: "TCP",
});

const pathOf = (index: number) =>
  `/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/${serviceName(index)}`;

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
