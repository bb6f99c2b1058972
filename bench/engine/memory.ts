/**
 * What a connection takes of the engine's memory: entries and index, for both directions.
 *
 * @module
 */

import { plainRow, type Row } from "../report.ts";
import type { BenchExports } from "./module.ts";

/** Bytes of a page of WebAssembly's memory. */
const PAGE = 65536;
/** Places that a connection takes. */
const PLACES = { ipv4: 1, ipv6: 2 } as const;

/** Bytes by which the whole memory is larger for each place for connections. */
function bytesPerPlace(module: WebAssembly.Module): number {
  const memory = new WebAssembly.Memory({ initial: 1 });
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  const pages = (connections: number) =>
    (exports as unknown as BenchExports).layout(1, 2048, connections, 1, 1, 1, 1, 1);
  return (pages(2_000_000) - pages(1_000_000)) * PAGE / 1_000_000;
}

/** A row of each family. */
export function memoryRows(module: WebAssembly.Module): Row[] {
  const bytes = bytesPerPlace(module);
  return Object.entries(PLACES).map(([family, places]) =>
    plainRow(`memory/${family}/connection`, "B", [bytes * places])
  );
}
