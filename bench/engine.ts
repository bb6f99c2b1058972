/**
 * The engine's packet path: nanoseconds per packet by the number of connections, beside its native
 * twin in C (`native`), a plain TypeScript engine over a Map (`typescript`), and the kernel's XDP
 * (`xdp`) where there are clang and libbpf: see engine/xdp.ts.
 *
 * A batch is 256 packets of connections drawn at random, which is the worst for caches; 10,000
 * Services of ten backends; masqueraded as in userspace mode. The twin works on the same tables in
 * the same memory and does the same, to the byte (test/engine/native_twin_test.ts).
 *
 * @module
 */

import type { Protocol } from "../src/cluster/objects.ts";
import type { Family } from "../src/net/address.ts";
import { batchOf, type Case, packetsOf } from "./engine/cases.ts";
import { ceilingRows } from "./engine/ceiling.ts";
import { clusterPlan } from "./engine/cluster.ts";
import { contest } from "./engine/contest.ts";
import { MapEngine } from "./engine/map_engine.ts";
import { memoryRows } from "./engine/memory.ts";
import { compileEngine } from "./engine/module.ts";
import { NativeTwin } from "./engine/native.ts";
import { BATCH, type Process, Rig } from "./engine/rig.ts";
import { xdpRows } from "./engine/xdp_rows.ts";
import type { BenchOptions } from "./options.ts";
import { comparedRow, plainRow, type Row } from "./report.ts";

export { charts } from "./engine/charts.ts";

const MOST = 1_000_000;
const SIZES = [1000, 10_000, 100_000, MOST];

/** What is measured of a family and protocol; `established` of UDP has the name `udp`. */
const SUITES: readonly {
  readonly family: Family;
  readonly protocol: Protocol;
  readonly cases: readonly Case[];
}[] = [
  { family: "IPv4", protocol: "TCP", cases: ["established", "replies", "new", "teardown"] },
  { family: "IPv6", protocol: "TCP", cases: ["established", "replies", "new", "teardown"] },
  { family: "IPv4", protocol: "UDP", cases: ["established"] },
  { family: "IPv6", protocol: "UDP", cases: ["established"] },
];

/** Runs the benchmark. */
export async function run(options: BenchOptions): Promise<Row[]> {
  const twin = await buildTwin();
  const module = await compileEngine();
  const rows: Row[] = [];
  for (const suite of SUITES) rows.push(...suiteRows(module, twin, suite, options));
  rows.push(...growthRows(rows));
  rows.push(...mapRows(module, options));
  rows.push(...memoryRows(module));
  rows.push(...await ceilingRows(options));
  const xdp = await xdpRows(module, [SIZES[0], MOST], options);
  if ("reason" in xdp) await note(`xdp: not measured: ${xdp.reason}`);
  else rows.push(...xdp.rows);
  return rows;
}

/** Rows of the fewest and of the most connections that show the limit; for {@link ceilingRows}. */
export async function runLimit(options: BenchOptions): Promise<Row[]> {
  const twin = await buildTwin();
  const suite = { family: "IPv4", protocol: "TCP", cases: ["established", "new"] } as const;
  return suiteRows(await compileEngine(), twin, suite, options, [1000, MOST]);
}

/** What to say beside the rows, which may be read by a program. */
async function note(text: string): Promise<void> {
  await Deno.stderr.write(new TextEncoder().encode(`${text}\n`));
}

async function buildTwin(): Promise<NativeTwin | null> {
  try {
    return await NativeTwin.build();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    await note("native: not measured: there is no gcc");
    return null;
  }
}

function suiteRows(
  module: WebAssembly.Module,
  twin: NativeTwin | null,
  { family, protocol, cases }: (typeof SUITES)[number],
  options: BenchOptions,
  sizes: readonly number[] = SIZES,
): Row[] {
  const rig = new Rig(module, family, protocol, Math.max(...sizes));
  twin?.attach(rig);
  const rows: Row[] = [];
  for (const size of sizes) {
    rig.grow(size);
    for (const name of cases) {
      const label = `${protocol === "UDP" ? "udp" : name}/${family.toLowerCase()}/${size}`;
      const processes: Record<string, Process> = { wasm: rig.exports.process };
      if (twin !== null) {
        processes.native = twin.process;
        // Measured twice: how far two figures of the same thing are apart is the machine's noise.
        if (name === "established") processes.again = twin.process;
      }
      const { wasm, native, again } = compare(name, rig, processes, options);
      if (native === undefined) rows.push(plainRow(label, "ns", wasm));
      else rows.push(comparedRow(label, "ns", wasm, "native", native));
      if (again !== undefined) {
        rows.push(comparedRow(`noise/${label}`, "ns", again, "native", native));
      }
    }
  }
  return rows;
}

function compare(
  name: Case,
  rig: Rig,
  processes: Readonly<Record<string, Process>>,
  { rounds, seconds }: BenchOptions,
): Record<string, number[]> {
  const batches = Math.ceil(seconds * 60 * BATCH / packetsOf(name));
  const contenders = Object.entries(processes)
    .map(([contender, process]) => [contender, batchOf(name, rig, process)] as const);
  return contest(Object.fromEntries(contenders), { rounds, batches, packets: packetsOf(name) });
}

/** How much slower a packet is among the most connections than among the fewest. */
function growthRows(rows: readonly Row[]): Row[] {
  return rows.filter(({ name }) => name.endsWith("/1000") && !name.startsWith("noise")).map(
    (few) => {
      const base = few.name.slice(0, -"/1000".length);
      const most = rows.find(({ name }) => name === `${base}/${MOST}`)!;
      return plainRow(`growth/${base}`, "× from 1000 to 1000000", [most.median / few.median]);
    },
  );
}

/** Against the Map, which needs its own connections. */
function mapRows(module: WebAssembly.Module, options: BenchOptions): Row[] {
  const rows: Row[] = [];
  for (const protocol of ["TCP", "UDP"] as const) {
    const rig = new Rig(module, "IPv4", protocol, MOST);
    const shadow = new Rig(module, "IPv4", protocol, MOST);
    const map = new MapEngine(shadow, clusterPlan("IPv4", protocol));
    shadow.process = map.process;
    for (const size of [1000, MOST]) {
      rig.grow(size);
      shadow.grow(size);
      for (
        const name of protocol === "TCP"
          ? ["established", "new"] as const
          : ["established"] as const
      ) {
        const batches = Math.ceil(options.seconds * 20);
        const { wasm, typescript } = contest({
          wasm: batchOf(name, rig, rig.exports.process),
          typescript: batchOf(name, shadow, map.process),
        }, { rounds: options.rounds, batches, packets: BATCH });
        const label = `${protocol === "UDP" ? "udp" : name}/ipv4/${size}`;
        rows.push(comparedRow(label, "ns", wasm, "typescript", typescript));
      }
    }
  }
  return rows;
}
