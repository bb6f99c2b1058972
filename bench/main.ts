/**
 * Runs a benchmark: `deno task bench NAME [--output text|json] [--rounds N] [--seconds N]
 * [--services N,N] [--backend nft|legacy] [--mode iptables|ipvs|nftables] [--charts FOLDER]`.
 *
 * @module
 */

import { parseArgs } from "node:util";
import type { Backend } from "../src/dataplane/iptables/programs.ts";
import { messageOf } from "../src/errors.ts";
import { BENCH_MODES, type BenchOptions, MissingProgram } from "./options.ts";
import { formatRows, type Row } from "./report.ts";

/** What a benchmark's module has. */
interface Benchmark {
  run(options: BenchOptions): Promise<Row[]>;
  /** SVG by file name, for `--charts`. */
  charts?(rows: readonly Row[]): Readonly<Record<string, string>>;
}

/** Benchmarks by name, loaded when asked for. */
const BENCHMARKS: Record<string, () => Promise<Benchmark>> = {
  cluster: () => import("./cluster.ts"),
  api: () => import("./api.ts"),
  datapath: () => import("./datapath.ts"),
  engine: () => import("./engine.ts"),
  schedulers: () => import("./schedulers.ts"),
  sync: () => import("./sync.ts"),
};

const BACKENDS: readonly Backend[] = ["nft", "legacy"];

const USAGE = `usage: bench ${Object.keys(BENCHMARKS).join("|")} ` +
  "[--output text|json] [--rounds N] [--seconds N] [--services N,N] [--backend nft|legacy] " +
  `[--mode ${BENCH_MODES.join("|")}] [--charts FOLDER]\n`;

const encoder = new TextEncoder();

/** Null, and a line that says why, when an option is not known. */
function parseArguments(args: string[]) {
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: {
        help: { type: "boolean", short: "h", default: false },
        output: { type: "string", default: "text" },
        rounds: { type: "string", default: "5" },
        seconds: { type: "string", default: "3" },
        services: { type: "string", default: "1000,5000,10000" },
        backend: { type: "string" },
        mode: { type: "string", default: "iptables" },
        charts: { type: "string" },
      },
    });
  } catch (error) {
    const [line] = messageOf(error).split(". ", 1);
    Deno.stderr.writeSync(encoder.encode(`bench: ${line}\n`));
    return null;
  }
}

async function main(args: string[]): Promise<number> {
  const parsed = parseArguments(args);
  if (parsed === null) {
    await Deno.stderr.write(encoder.encode(USAGE));
    return 2;
  }
  const { values, positionals } = parsed;
  if (values.help) {
    await Deno.stdout.write(encoder.encode(USAGE));
    return 0;
  }
  const [name] = positionals;
  const rounds = Number(values.rounds);
  const seconds = Number(values.seconds);
  const services = values.services.split(",").map(Number);
  const backend = BACKENDS.find((known) => known === values.backend);
  const mode = BENCH_MODES.find((known) => known === values.mode);
  const valid = positionals.length === 1 && Object.hasOwn(BENCHMARKS, name) &&
    ["text", "json"].includes(values.output) && Number.isInteger(rounds) && rounds > 0 &&
    seconds > 0 && services.every((size) => Number.isInteger(size) && size > 0 && size <= 60_000) &&
    backend === values.backend && mode !== undefined;
  if (!valid) {
    await Deno.stderr.write(encoder.encode(USAGE));
    return 2;
  }
  const benchmark = await BENCHMARKS[name]();
  let rows: Row[];
  try {
    rows = await benchmark.run({ rounds, seconds, services, backend, mode });
  } catch (error) {
    if (!(error instanceof MissingProgram)) throw error;
    await Deno.stderr.write(encoder.encode(`bench ${name}: not measured: ${error.message}\n`));
    return 1;
  }
  if (values.charts !== undefined) await writeCharts(values.charts, benchmark.charts?.(rows) ?? {});
  const text = values.output === "json" ? JSON.stringify(rows, null, 2) : formatRows(rows);
  await Deno.stdout.write(encoder.encode(text + "\n"));
  return 0;
}

async function writeCharts(
  folder: string,
  charts: Readonly<Record<string, string>>,
): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  for (const [file, svg] of Object.entries(charts)) {
    await Deno.writeTextFile(`${folder}/${file}`, svg);
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
