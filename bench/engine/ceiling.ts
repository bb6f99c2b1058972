/**
 * The engine without V8's bounds checks: how fast it would be if the processor did them. Never to be
 * used like that, as nothing would keep a mistake within the engine's memory.
 *
 * @module
 */

import type { BenchOptions } from "../options.ts";
import type { Row } from "../report.ts";

const PROGRAM = `
import { runLimit } from "./bench/engine.ts";
const rows = await runLimit(JSON.parse(Deno.args[0]));
await Deno.stdout.write(new TextEncoder().encode(JSON.stringify(rows)));
`;

/** Measures it in a process of its own, as V8 takes such a flag only at the start. */
export async function ceilingRows(options: BenchOptions): Promise<Row[]> {
  const root = new URL("../..", import.meta.url);
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(file, PROGRAM.replace("./bench", new URL("bench", root).href));
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--v8-flags=--no-wasm-bounds-checks",
        "--config",
        new URL("deno.json", root).pathname,
        "--allow-read",
        "--allow-write=/tmp",
        "--allow-ffi",
        "--allow-env",
        "--allow-sys",
        "--allow-run",
        file,
        JSON.stringify(options),
      ],
      stdout: "piped",
      stderr: "piped",
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    const rows: Row[] = JSON.parse(new TextDecoder().decode(stdout));
    return rows.filter(({ name }) => !name.startsWith("noise"))
      .map((row) => ({ ...row, name: `ceiling/${row.name}` }));
  } finally {
    await Deno.remove(file);
  }
}
