/**
 * Rows against XDP, where this machine can run it.
 *
 * @module
 */

import { messageOf } from "../../src/errors.ts";
import type { BenchOptions } from "../options.ts";
import { comparedRow, type Row } from "../report.ts";
import { batchOf } from "./cases.ts";
import { contest } from "./contest.ts";
import { BATCH, Rig } from "./rig.ts";
import { XdpBalancer } from "./xdp.ts";

/** The rows, or why there are none. */
export type XdpRows = { readonly rows: readonly Row[] } | { readonly reason: string };

/** Measures connections of the sizes, which rise. */
export async function xdpRows(
  module: WebAssembly.Module,
  sizes: readonly number[],
  options: BenchOptions,
): Promise<XdpRows> {
  const rig = new Rig(module, "IPv4", "TCP", Math.max(...sizes));
  const rows: Row[] = [];
  for (const size of sizes) {
    rig.grow(size);
    let balancer: XdpBalancer;
    try {
      balancer = await XdpBalancer.create(rig);
    } catch (error) {
      // What is missing, or what the kernel does not allow, is not the benchmark's to judge.
      return { reason: messageOf(error) };
    }
    using xdp = balancer;
    for (const name of ["established", "replies"] as const) {
      xdp.assertSame(name);
      const batches = Math.ceil(options.seconds * 60);
      const { wasm, kernel } = contest({
        wasm: batchOf(name, rig, rig.exports.process),
        kernel: xdp.batchOf(name),
      }, { rounds: options.rounds, batches, packets: BATCH });
      rows.push(comparedRow(`${name}/ipv4/${size}`, "ns", wasm, "xdp", kernel));
    }
  }
  return { rows };
}
