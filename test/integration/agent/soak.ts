/**
 * The agent under random churn, with an API server that fails and an agent that is killed, while a
 * client asks all the time. It must not see one failure, the rules must end as a clean start makes
 * them, and memory must not grow.
 *
 *     deno task soak --minutes 30 --seed 1 --mode nftables
 *
 * With KUBEBUILDER_ASSETS, the API server is a real one.
 *
 * @module
 */

import { complainLines, printLines } from "../../../src/commands/io.ts";
import { Random } from "../../fuzz/random.ts";
import { lengthOf, OptionError, runTask, seedOf, taskOptions } from "../../task_options.ts";
import { missingAssets } from "../../cluster/kubernetes/real_api.ts";
import type { Program } from "../../commands/processes.ts";
import { DoubleServer, RealServer, type TestApiServer } from "./api_server.ts";
import { BACKENDS, Churn } from "./churn.ts";
import { NodeLab, SteadyClient } from "./node_lab.ts";

/** Modes in which connections outlive the agent. */
export type SoakMode = "iptables" | "nftables";

export interface SoakOptions {
  readonly seconds: number;
  /** It goes on until there were so many changes, and so many connections (default 0). */
  readonly least?: number;
  readonly seed: number;
  /** Default: iptables. */
  readonly mode?: SoakMode;
  /** The API server; made when the thread is on the node. */
  readonly api: () => Promise<TestApiServer>;
  /** Told what happens. */
  readonly log?: (line: string) => void;
}

/** What came of it. */
export interface SoakReport {
  readonly changes: number;
  readonly disturbances: number;
  readonly kills: number;
  /** Connections of the client. */
  readonly asked: number;
  readonly failed: number;
  /** The first ones. */
  readonly failures: readonly string[];
  /** Those that took a second or more, and the longest. */
  readonly slow: number;
  readonly slowestMs: number;
  /** Rules that differ from a clean start's. */
  readonly differences: readonly string[];
  /**
   * Resident memory of the last agent in MiB, of each tenth of its life the least: what is in use,
   * without what waits for the garbage collector.
   */
  readonly memory: readonly number[];
}

const CHANGES_A_SECOND = 10;
/** On average, of each. */
const SECONDS_BETWEEN_DISTURBANCES = 8;
const SECONDS_BETWEEN_KILLS = 12;

export async function soak(options: SoakOptions): Promise<SoakReport> {
  const { seconds, least = 0, mode = "iptables", log = () => {} } = options;
  const random = new Random(options.seed);
  await using lab = await NodeLab.start();
  await using api = await options.api();
  await lab.serve([BACKENDS]);
  const churn = new Churn(api, random);
  await churn.begin();
  const flags = [...api.flags, `--proxy-mode=${mode}`];
  const rulesOf = () => mode === "iptables" ? lab.rules() : lab.table();
  let agent = await lab.agent(flags);
  let client: SteadyClient | null = null;
  const counts = { changes: 0, disturbances: 0, kills: 0 };
  const memory: number[] = [];
  try {
    for (const one of churn.steady) {
      await lab.until(one, ({ kind }) => kind === "answer", "steady Services answer");
    }
    client = new SteadyClient(lab, churn.steady);
    const start = performance.now();
    let disturbing: Promise<void> = Promise.resolve();
    const elapsed = () => (performance.now() - start) / 1000;
    while (elapsed() < seconds || Math.min(counts.changes, client.asked) < least) {
      const due = elapsed() * CHANGES_A_SECOND;
      if (counts.changes > due) {
        await new Promise((resolve) => setTimeout(resolve, 1000 / CHANGES_A_SECOND));
        continue;
      }
      counts.changes++;
      await disturbing;
      await churn.change();
      if (random.once(CHANGES_A_SECOND * SECONDS_BETWEEN_DISTURBANCES)) {
        counts.disturbances++;
        disturbing = api.disturb(random).then((what) => log(`API server: ${what}`));
      }
      // In the second half one agent lives on, so that its memory can be watched; one was killed.
      if (elapsed() < seconds / 2 || counts.kills === 0) {
        const due = counts.kills === 0 && elapsed() > seconds / 3;
        if (!due && !random.once(CHANGES_A_SECOND * SECONDS_BETWEEN_KILLS)) continue;
        counts.kills++;
        await agent.kill();
        log("agent: killed");
        agent = await lab.agent(flags);
      } else {
        memory.push(await residentMemory(agent));
      }
    }
    await disturbing;
    const marker = await churn.finish();
    await lab.until(marker, ({ kind }) => kind === "answer", "the last change is on the node");
    const rules = await rulesOf();
    await agent.kill();
    await client.stop();
    await lab.cleanup();
    agent = await lab.agent(flags);
    return {
      ...counts,
      asked: client.asked,
      failed: client.failed,
      failures: client.failures,
      slow: client.slow,
      slowestMs: Math.round(client.slowestMs),
      differences: differences(rules, await rulesOf()),
      memory: tenths(memory),
    };
  } finally {
    await client?.stop();
    await agent.kill();
    await lab.cleanup();
  }
}

/** Resident memory of a process in MiB. */
async function residentMemory({ pid }: Program): Promise<number> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`);
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)![1]) / 1024;
}

function tenths(samples: readonly number[]): number[] {
  const size = Math.ceil(samples.length / 10);
  return Array.from({ length: 10 }, (_, i) => samples.slice(i * size, (i + 1) * size))
    .filter((part) => part.length > 0).map((part) => Math.round(Math.min(...part)));
}

/** Lines that only one side has, with "-" those that should not be there. */
function differences(found: readonly string[], expected: readonly string[]): string[] {
  if (found.join("\n") === expected.join("\n")) return [];
  const own = new Set(found);
  const other = new Set(expected);
  const lines = [
    ...found.filter((line) => !other.has(line)).map((line) => `- ${line}`),
    ...expected.filter((line) => !own.has(line)).map((line) => `+ ${line}`),
  ];
  return lines.length > 0 ? lines : ["the same rules in another order"];
}

async function main(): Promise<number> {
  const options = taskOptions({
    minutes: "30",
    seed: String(Date.now() % 1_000_000),
    mode: "iptables",
  });
  const { mode } = options;
  if (mode !== "iptables" && mode !== "nftables") {
    throw new OptionError(`--mode ${JSON.stringify(mode)}: expected iptables or nftables`);
  }
  const seconds = lengthOf("minutes", options.minutes) * 60;
  const seed = seedOf(options.seed);
  const real = missingAssets() === null;
  const log = (line: string) => complainLines(`${new Date().toISOString()} ${line}`);
  log(`seed ${seed}, API server: ${real ? "kube-apiserver" : "the double"}`);
  const report = await soak({
    seconds,
    seed,
    mode,
    api: real ? () => RealServer.start() : () => Promise.resolve(new DoubleServer()),
    log,
  });
  printLines(JSON.stringify({ seed, ...report }, null, 2));
  return report.failed === 0 && report.differences.length === 0 ? 0 : 1;
}

if (import.meta.main) await runTask(main);
