/**
 * What the API benchmark asks: about another Service of the sync benchmark's cluster each time.
 *
 * @module
 */

import { RECORDS_TYPE } from "../src/api/lookup_records.ts";
import type { Load } from "./api_wrk.ts";

/** Packets of one lookup, as records and as JSON. */
const RECORDS = 16_384;
const PACKETS = 500;

/** Something that is asked, and the bare route beside it. */
export interface Case {
  readonly name: string;
  readonly unit: string;
  /** What one request counts. */
  readonly worth: number;
  readonly load: Omit<Load, "port" | "seconds" | "connections">;
}

/** The cases for so many Services; bodies are files in the folder. */
export async function casesOf(size: number, folder: string): Promise<Case[]> {
  const records = `${folder}/records`;
  const json = `${folder}/packets`;
  await Deno.writeFile(records, recordsOf(size));
  await Deno.writeTextFile(json, JSON.stringify({ packets: packetsOf(size) }));
  const path = "/api/v1/lookup";
  return [
    { name: "explain", unit: "1/s", worth: 1, load: { request: explainRequest(size) } },
    {
      name: "lookup, records",
      unit: "packets/s",
      worth: RECORDS,
      load: { path, body: { file: records, type: RECORDS_TYPE } },
    },
    {
      name: "lookup, JSON",
      unit: "packets/s",
      worth: PACKETS,
      load: { path, body: { file: json, type: "application/json" } },
    },
  ];
}

/** A pod's address, another for each question. */
const source = (i: number) => [10, 130, i >> 8 & 255, i & 255];
/** The cluster IP of Service `i` of the sync benchmark's cluster. */
const clusterIP = (i: number) => [10, i + 1 >> 16, i + 1 >> 8 & 255, i + 1 & 255];
/** Spreads questions over all Services. */
const serviceAt = (i: number, size: number) => i * 7919 % size;

function recordsOf(size: number): Uint8Array {
  const bytes = new Uint8Array(RECORDS * 40);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < RECORDS; i++) {
    const at = i * 40;
    bytes.set([0xff, 0xff, ...source(i)], at + 10);
    bytes.set([0xff, 0xff, ...clusterIP(serviceAt(i, size))], at + 26);
    view.setUint16(at + 34, 80, true);
    view.setUint8(at + 36, 6);
  }
  return bytes;
}

function packetsOf(size: number) {
  return Array.from({ length: PACKETS }, (_, i) => ({
    source: source(i).join("."),
    dest: clusterIP(serviceAt(i, size)).join("."),
    port: 80,
    protocol: "TCP",
  }));
}

/** Lua that asks about another Service from another pod each time. */
function explainRequest(size: number): string {
  return `local floor, i = math.floor, 0
request = function()
  i = i + 1
  local s = (i * 7919) % ${size} + 1
  return wrk.format("GET", string.format(
    "/api/v1/explain?source=10.130.%d.%d&dest=10.%d.%d.%d&port=80&protocol=TCP",
    floor(i / 256) % 256, i % 256, floor(s / 65536), floor(s / 256) % 256, s % 256))
end`;
}
