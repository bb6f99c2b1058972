/**
 * The engine as the benchmark runs it: compiled from the same sources as the one that is shipped, and
 * able to say where its tables are.
 *
 * @module
 */

import type { EngineExports } from "../../src/engine/module.ts";
import { compileAssembly } from "../assembly.ts";

/** What asm/bench/engine.ts exports. */
export interface BenchExports extends EngineExports {
  /** Address of the list of addresses. */
  tables(): number;
  /** Address of the hash's keys. */
  hashKeys(): number;
}

/** Compiles it. Throws with the compiler's words. */
export function compileEngine(): Promise<WebAssembly.Module> {
  return compileAssembly("asm/bench/engine.ts");
}
