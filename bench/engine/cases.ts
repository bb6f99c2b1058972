/**
 * What is measured: for each case how one batch goes, of which only the calls to the engine are
 * timed.
 *
 * @module
 */

import type { Batch } from "./contest.ts";
import { BATCH, type Kind, type Process, type Rig } from "./rig.ts";

/** A case by its name in the rows. */
export type Case = "established" | "replies" | "new" | "teardown";

/** Flows that are not open, of which new connections are drawn. */
const STRANGERS = 4_000_000;

/** Random flows of the first `size` ones, each once. */
export function randomFlows(size: number): Uint32Array {
  const flows = new Set<number>();
  const count = Math.min(BATCH, size);
  while (flows.size < count) flows.add(Math.floor(Math.random() * size));
  return Uint32Array.from(flows);
}

/** Time that handling one packet of each flow takes, ms. */
function timed(rig: Rig, process: Process, flows: Uint32Array, kind: Kind): number {
  rig.fill(flows, kind);
  const start = performance.now();
  process(0, flows.length, rig.nowMs);
  const took = performance.now() - start;
  rig.check(flows.length);
  return took;
}

const CLOSING: readonly Kind[] = ["finish", "finishBack", "last"];

/** Packets of a batch that are timed. */
export function packetsOf(name: Case): number {
  return name === "teardown" ? CLOSING.length * BATCH : BATCH;
}

/**
 * One batch of a case, handled by `process`; `rig` has more flows than are open, which it opens and
 * forgets again.
 */
export function batchOf(name: Case, rig: Rig, process: Process): Batch {
  switch (name) {
    case "established":
      return () => timed(rig, process, randomFlows(rig.size), "data");
    case "replies":
      return () => timed(rig, process, randomFlows(rig.size), "dataBack");
    case "new":
      return () => {
        const flows = randomFlows(STRANGERS).map((flow) => rig.size + flow);
        const took = timed(rig, process, flows, "open");
        rig.fill(flows, "abort");
        rig.run(flows.length);
        return took;
      };
    case "teardown":
      return () => {
        const flows = randomFlows(rig.size);
        const took = CLOSING.reduce((sum, kind) => sum + timed(rig, process, flows, kind), 0);
        rig.establish(flows);
        return took;
      };
  }
}
