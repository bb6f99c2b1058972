/**
 * The native twin: built with gcc where there is one, and given the engine's memory through FFI.
 *
 * @module
 */

import { FLAGS, KEPT_SYNS, MASQUERADE_PORTS, type Process, type Rig } from "./rig.ts";

/** How it is built. */
export const COMPILER = ["gcc", "-O3", "-march=native", "-shared", "-fPIC"] as const;

const SYMBOLS = {
  attach: { parameters: ["pointer", "pointer", "pointer", "buffer"], result: "void" },
  process: { parameters: ["u32", "u32", "f64"], result: "void" },
} as const;

/** The twin, working on one engine's tables at a time. */
export class NativeTwin implements Disposable {
  readonly #library: Deno.DynamicLibrary<typeof SYMBOLS>;
  /** As the engine's. */
  readonly process: Process;

  private constructor(file: string) {
    this.#library = Deno.dlopen(file, SYMBOLS);
    this.process = this.#library.symbols.process;
  }

  /** Builds and loads it. Throws with the compiler's words, or NotFound without a compiler. */
  static async build(): Promise<NativeTwin> {
    const folder = await Deno.makeTempDir();
    try {
      const source = new URL("../native/twin.c", import.meta.url).pathname;
      const [program, ...flags] = COMPILER;
      const file = `${folder}/twin.so`;
      const { success, stderr } = await new Deno.Command(program, {
        args: [...flags, "-o", file, source],
        stdout: "null",
        stderr: "piped",
      }).output();
      if (!success) throw new Error(`${program}: ${new TextDecoder().decode(stderr)}`);
      return new NativeTwin(file);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  }

  /** Gives it an engine's tables. */
  attach({ exports, memory }: Rig): void {
    const base = Deno.UnsafePointer.of(new Uint8Array(memory.buffer));
    if (base === null) throw new Error("the engine's memory has no address");
    const at = (offset: number) => Deno.UnsafePointer.offset(base, offset);
    const numbers = Uint32Array.of(
      FLAGS,
      MASQUERADE_PORTS.first,
      MASQUERADE_PORTS.last,
      exports.connectionLimit(),
      KEPT_SYNS,
    );
    this.#library.symbols.attach(base, at(exports.tables()), at(exports.hashKeys()), numbers);
  }

  [Symbol.dispose](): void {
    this.#library.close();
  }
}
