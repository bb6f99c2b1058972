/**
 * AssemblyScript of the benchmarks, compiled as the engine is.
 *
 * @module
 */

/** Compiles a file, named from the top of the repository. Throws with the compiler's words. */
export async function compileAssembly(source: string): Promise<WebAssembly.Module> {
  const folder = await Deno.makeTempDir();
  const file = `${folder}/benchmark.wasm`;
  try {
    const { success, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--allow-read",
        `--allow-write=${folder}`,
        "--allow-env",
        "npm:assemblyscript@0.28.20/asc",
        source,
        "--config",
        "asconfig.json",
        "--optimizeLevel=3",
        "--shrinkLevel=0",
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
