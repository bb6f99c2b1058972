/**
 * The engine's schedulers: what a new connection costs (its pick, and the counts of the one that
 * begins and of another that ends), by the number of backends; how evenly they spread load; how many
 * clients move when a backend leaves.
 *
 * Schedulers that look for the least are compared with `scan`, the same module walking the list as
 * Linux does.
 *
 * @module
 */

import { SCHEDULERS } from "../src/engine/abi.ts";
import type { SchedulerName } from "../src/plan/plan.ts";
import type { BenchOptions } from "./options.ts";
import { comparedRow, plainRow, type Row } from "./report.ts";

/** What asm/bench/schedulers.ts exports. */
interface SchedulerExports {
  layout(backends: number): number;
  prepare(scheduler: number, flags: number, heaviest: number, seed: bigint): void;
  leave(place: number): void;
  rejoin(): void;
  choose(client: number, port: number, destination: number): number;
  burden(backend: number, by: number): void;
  fill(engine: boolean): void;
  turn(engine: boolean, count: number): void;
}

const SIZES = [10, 100, 1000, 10_000];
/** Weights of backends are random from 1 to this. */
const HEAVIEST = 10;
const SEED = 20_260_101n;

/** Those that look for the least. */
const SCANNED: readonly SchedulerName[] = ["lc", "wlc", "sed", "nq", "fo", "ovf"];

const NAMES = Object.keys(SCHEDULERS) as SchedulerName[];

async function compile(): Promise<WebAssembly.Module> {
  const folder = await Deno.makeTempDir();
  const file = `${folder}/schedulers.wasm`;
  try {
    const { success, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--allow-read",
        `--allow-write=${folder}`,
        "--allow-env",
        "npm:assemblyscript@0.28.20/asc",
        "asm/bench/schedulers.ts",
        "--config",
        "asconfig.json",
        "--optimizeLevel=3",
        "--noAssert",
        "--outFile",
        file,
      ],
      cwd: new URL("..", import.meta.url),
      stdout: "null",
      stderr: "piped",
    }).output();
    if (!success) throw new Error(`asc: ${new TextDecoder().decode(stderr)}`);
    return new WebAssembly.Module(await Deno.readFile(file));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function instantiate(
  module: WebAssembly.Module,
  backends: number,
  scheduler: SchedulerName,
  heaviest: number,
): SchedulerExports {
  const withMemory = (memory: WebAssembly.Memory) =>
    new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as SchedulerExports;
  const pages = withMemory(new WebAssembly.Memory({ initial: 1 })).layout(backends);
  const exports = withMemory(new WebAssembly.Memory({ initial: pages, maximum: pages }));
  exports.layout(backends);
  exports.prepare(SCHEDULERS[scheduler], 0, heaviest, SEED);
  return exports;
}

/** Nanoseconds for each turn, over about so many seconds. */
function time(turn: (count: number) => void, seconds: number): number {
  let count = 64;
  for (;;) {
    const start = performance.now();
    turn(count);
    const ms = performance.now() - start;
    if (ms >= seconds * 500) return ms * 1e6 / count;
    count = Math.ceil(count * Math.min(16, Math.max(2, seconds * 1000 / Math.max(ms, 0.01))));
  }
}

function pickRows(module: WebAssembly.Module, { rounds, seconds }: BenchOptions): Row[] {
  const rows: Row[] = [];
  const part = seconds / 60;
  for (const scheduler of NAMES) {
    for (const backends of SIZES) {
      const exports = instantiate(module, backends, scheduler, HEAVIEST);
      const scanned = SCANNED.includes(scheduler);
      exports.fill(true);
      if (scanned) exports.fill(false);
      time((count) => exports.turn(true, count), part);
      const ours: number[] = [];
      const theirs: number[] = [];
      for (let round = 0; round < rounds; round++) {
        ours.push(time((count) => exports.turn(true, count), part));
        if (scanned) theirs.push(time((count) => exports.turn(false, count), part));
      }
      const name = `pick/${scheduler}/${backends}`;
      rows.push(
        scanned ? comparedRow(name, "ns", ours, "scan", theirs) : plainRow(name, "ns", ours),
      );
    }
  }
  return rows;
}

/** Random numbers from 0 to 1 that are the same in every run: mulberry32. */
function generator(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), seed | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const SPREAD_BACKENDS = 100;
const CLIENTS = 10_000;

/** Who connects, and for how many arrivals of others the connection lasts. */
interface Workload {
  readonly client: (random: () => number) => number;
  readonly duration: (random: () => number) => number;
}

const uniform = (random: () => number) => Math.floor(random() * CLIENTS);

const WORKLOADS: Readonly<Record<string, Workload>> = {
  equal: { client: uniform, duration: () => 2000 },
  /** A few clients make most connections: rank r as often as 1/r. */
  zipf: {
    client: (random) => Math.floor(CLIENTS ** random()) - 1,
    duration: () => 2000,
  },
  /** Most connections are short, a few very long: Pareto with exponent 1.2. */
  heavy: {
    client: uniform,
    duration: (random) => Math.min(200_000, Math.floor(300 / (1 - random()) ** (1 / 1.2))),
  },
};

/** Open connections per backend, at times: greatest ÷ mean, and coefficient of variation. */
function spread(exports: SchedulerExports, { client, duration }: Workload) {
  const random = generator(1);
  const arrivals = 60_000;
  const ends: number[][] = Array.from({ length: arrivals + 1 }, () => []);
  const open = new Array<number>(SPREAD_BACKENDS).fill(0);
  const peaks: number[] = [];
  const variations: number[] = [];
  for (let now = 0; now < arrivals; now++) {
    for (const backend of ends[now]) {
      exports.burden(backend, -1);
      open[backend - 1]--;
    }
    const who = client(random);
    const backend = exports.choose(
      Math.imul(who + 1, 0x9e3779b1),
      1024 + Math.floor(random() * 60_000),
      0,
    );
    const end = now + 1 + duration(random);
    if (backend !== 0) {
      exports.burden(backend, 1);
      open[backend - 1]++;
      if (end < arrivals) ends[end].push(backend);
    }
    if (now < arrivals / 2 || now % 500 !== 0) continue;
    const mean = open.reduce((sum, count) => sum + count, 0) / SPREAD_BACKENDS;
    const variance = open.reduce((sum, count) => sum + (count - mean) ** 2, 0) / SPREAD_BACKENDS;
    peaks.push(Math.max(...open) / mean);
    variations.push(Math.sqrt(variance) / mean);
  }
  return { peaks, variations };
}

/** Without those that do not mean to spread, or do so by destinations, of which there is one. */
function spreadRows(module: WebAssembly.Module): Row[] {
  const rows: Row[] = [];
  for (const scheduler of NAMES) {
    if (["fo", "ovf", "dh", "lblc", "lblcr"].includes(scheduler)) continue;
    for (const [name, workload] of Object.entries(WORKLOADS)) {
      const exports = instantiate(module, SPREAD_BACKENDS, scheduler, 1);
      const { peaks, variations } = spread(exports, workload);
      rows.push(plainRow(`spread/${scheduler}/${name}/peak`, "max/mean", peaks));
      rows.push(plainRow(`spread/${scheduler}/${name}/variation`, "cv", variations));
    }
  }
  return rows;
}

/**
 * Share of clients that get another backend when one of them leaves, beyond those that were with it;
 * over several backends that leave.
 */
function disruptionRows(module: WebAssembly.Module): Row[] {
  return (["sh", "mh"] as const).map((scheduler) => {
    const exports = instantiate(module, SPREAD_BACKENDS, scheduler, 1);
    const all = () =>
      Array.from(
        { length: CLIENTS },
        (_, i) => exports.choose(Math.imul(i + 1, 0x9e3779b1), 1024, 0),
      );
    exports.rejoin();
    const moved = Array.from({ length: 10 }, (_, i) => {
      const before = all();
      const place = i * 7;
      exports.leave(place);
      const after = all();
      exports.rejoin();
      const others = before.filter((backend, j) => backend !== place + 1 && after[j] !== backend);
      return 100 * others.length / CLIENTS;
    });
    return plainRow(`disruption/${scheduler}/${SPREAD_BACKENDS}/leave`, "% of clients", moved);
  });
}

/** Runs the benchmark. */
export async function run(options: BenchOptions): Promise<Row[]> {
  const module = await compile();
  return [...pickRows(module, options), ...spreadRows(module), ...disruptionRows(module)];
}
