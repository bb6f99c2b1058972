/**
 * The engine as the benchmark runs it: compiled from the same sources as the one that is shipped, and
 * able to say where its tables are.
 *
 * @module
 */

import type { EngineExports } from "../../src/engine/module.ts";

/** What asm/bench/engine.ts exports. */
export interface BenchExports extends EngineExports {
  /** Address of the list of addresses. */
  tables(): number;
  /** Address of the hash's keys. */
  hashKeys(): number;
}

/** Compiles it. Throws with the compiler's words. */
export async function compileEngine(): Promise<WebAssembly.Module> {
  const folder = await Deno.makeTempDir();
  const file = `${folder}/engine.wasm`;
  try {
    const { success, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--allow-read",
        `--allow-write=${folder}`,
        "--allow-env",
        "npm:assemblyscript@0.28.20/asc",
        "asm/bench/engine.ts",
        "--config",
        "asconfig.json",
        "--optimizeLevel=3",
        "--shrinkLevel=0",
        "--noAssert",
        "--outFile",
        file,
      ],
      cwd: new URL("../..", import.meta.url),
      stdout: "null",
      stderr: "piped",
    }).output();
    if (!success) throw new Error(`asc: ${new TextDecoder().decode(stderr)}`);
    return new WebAssembly.Module(await Deno.readFile(file));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
