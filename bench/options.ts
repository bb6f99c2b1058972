/**
 * What benchmarks are told by the command line.
 *
 * @module
 */

import type { Backend } from "../src/dataplane/iptables/programs.ts";

/** Modes whose syncs are measured. */
export const BENCH_MODES = ["iptables", "ipvs", "nftables"] as const;

/** One of them. */
export type BenchMode = typeof BENCH_MODES[number];

/** What a benchmark may be told. */
export interface BenchOptions {
  /** Interleaved rounds; the figures are medians over them. */
  readonly rounds: number;
  /** Length of one timed part. */
  readonly seconds: number;
  /** Sizes of clusters, where they matter. */
  readonly services: readonly number[];
  /** Implementation of iptables; absent: what this node uses. */
  readonly backend?: Backend;
  /** Which mode's syncs are measured (default: iptables). */
  readonly mode?: BenchMode;
}

/** A program that a benchmark cannot do without is not there; the message is one line. */
export class MissingProgram extends Error {
  override readonly name = "MissingProgram";

  constructor(program: string, why: string) {
    super(`the program ${program} is not there, and ${why}`);
  }
}
