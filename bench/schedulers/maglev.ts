/**
 * Maglev's table of 65537 buckets over 1000 backends: how long it takes beside the same in C, and what
 * moves in it when a backend leaves.
 *
 * @module
 */

import type { BenchOptions } from "../options.ts";
import { comparedRow, plainRow, type Row } from "../report.ts";
import { instanceFor } from "./module.ts";
import { timeBeside } from "./timing.ts";

const BUCKETS = 65_537;
const BACKENDS = 1000;
/** No backend is left out. */
const NOBODY = 0xffffffff;
const NAME = `${BUCKETS}x${BACKENDS}`;
const SOURCE = new URL("../native/maglev.c", import.meta.url);
/** Of asm/bench/schedulers.ts: the word that stands for backend i is this and i. */
const FIRST_WORD = 0x0a3d0000 + 8080;

/** Rows `maglev/65537x1000`, against `native` where there is a C compiler, and `…/leave`. */
export async function maglevRows(
  module: WebAssembly.Module,
  options: BenchOptions,
): Promise<Row[]> {
  const { exports, memory } = instanceFor(module, BACKENDS);
  const at = exports.buildMaglev(NOBODY);
  const table = new Uint16Array(memory.buffer, at, BUCKETS);
  const build = () => void exports.buildMaglev(NOBODY);
  using native = await compileNative();
  const ms = options.seconds * 1000 / 20;
  const name = `maglev/${NAME}`;
  let row: Row;
  if (native === null) {
    row = plainRow(name, "ms", timeBeside({ build }, options.rounds, ms).build);
  } else {
    assertEqual(table, native.table);
    const times = timeBeside({ build, native: native.build }, options.rounds, ms);
    row = comparedRow(name, "ms", times.build, "native", times.native);
  }
  const before = table.slice();
  const moved = Array.from({ length: 20 }, (_, i) => {
    const leaving = i * 53 % BACKENDS;
    exports.buildMaglev(leaving);
    return movedShare(before, table, leaving);
  });
  return [row, plainRow(`${name}/leave`, "% of buckets moved without need", moved)];
}

/** Those that were not the leaving backend's and are another's now; those behind it count one less. */
function movedShare(before: Uint16Array, after: Uint16Array, leaving: number): number {
  let moved = 0;
  for (const [bucket, was] of before.entries()) {
    const is = after[bucket] + (after[bucket] >= leaving ? 1 : 0);
    if (was !== leaving && was !== is) moved++;
  }
  return 100 * moved / BUCKETS;
}

function assertEqual(ours: Uint16Array, theirs: Uint16Array): void {
  const bucket = ours.findIndex((backend, i) => backend !== theirs[i]);
  if (bucket >= 0) throw new Error(`maglev: bucket ${bucket} differs between the engine and C`);
}

interface Native extends Disposable {
  readonly table: Uint16Array;
  build(): void;
}

/** The twin in C; null where there is no compiler. */
async function compileNative(): Promise<Native | null> {
  const folder = await Deno.makeTempDir();
  try {
    const file = `${folder}/maglev.so`;
    const { success, stderr } = await new Deno.Command("gcc", {
      args: ["-O3", "-march=native", "-shared", "-fPIC", "-o", file, SOURCE.pathname],
      stderr: "piped",
    }).output();
    if (!success) throw new Error(`gcc: ${new TextDecoder().decode(stderr)}`);
    return loadNative(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function loadNative(file: string): Native {
  const library = Deno.dlopen(file, {
    maglev_build: { parameters: ["buffer", "u32", "buffer", "buffer", "u32"], result: "void" },
  });
  const table = new Uint16Array(BUCKETS);
  const walks = new Uint32Array(BACKENDS * 3);
  const words = Uint32Array.from({ length: BACKENDS }, (_, i) => FIRST_WORD + i);
  const build = () => library.symbols.maglev_build(table, BUCKETS, walks, words, BACKENDS);
  build();
  return { table, build, [Symbol.dispose]: () => library.close() };
}
