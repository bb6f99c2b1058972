/**
 * The lines of a history file: each a checksum and JSON, so that a torn or damaged line is told from
 * a whole one.
 *
 * @module
 */

import { crc32 } from "node:zlib";
import type { Backend, NodeInfo, ServicePlan, ServicePortPlan } from "../plan/plan.ts";
import { entrySchema, type HistoryEntry, type Outcome, outcomeSchema } from "./entry.ts";

/** The format's number; files of another one are not read. */
export const FORMAT = 1;

/**
 * What a line says. `service`, `gone` and `node` say how the plan is behind the next `entry`, or, at
 * the beginning of a file, behind `base`.
 */
export type HistoryLine =
  | { readonly format: number }
  | { readonly service: ServicePlan }
  /** "namespace/name". */
  | { readonly gone: string }
  | { readonly node: NodeInfo }
  /** The id of the next entry. */
  | { readonly base: number }
  | { readonly entry: HistoryEntry }
  | { readonly outcome: Outcome };

const encoder = new TextEncoder();

/** A line with its end. */
export function encodeLine(line: HistoryLine): string {
  const json = JSON.stringify("service" in line ? { service: encodeService(line.service) } : line);
  return `${checksum(json)} ${json}\n`;
}

/** A line without its end; null when it is damaged or says nothing that is known. */
export function decodeLine(text: string): HistoryLine | null {
  const json = text.slice(9);
  if (text.slice(0, 9) !== `${checksum(json)} `) return null;
  const value = JSON.parse(json);
  if (typeof value !== "object" || value === null) return null;
  if ("service" in value) return { service: decodeService(value.service) };
  if ("entry" in value) return validated("entry", entrySchema.safeParse(value.entry));
  if ("outcome" in value) return validated("outcome", outcomeSchema.safeParse(value.outcome));
  return value;
}

function validated(name: string, parsed: { success: boolean; data?: unknown }): HistoryLine | null {
  return parsed.success ? { [name]: parsed.data } as HistoryLine : null;
}

function checksum(json: string): string {
  return crc32(encoder.encode(json)).toString(16).padStart(8, "0");
}

/** A port whose lists of backends are numbers of its endpoints. */
type EncodedPort = Omit<ServicePortPlan, "cluster" | "local"> & {
  readonly cluster: readonly (number | Backend)[];
  readonly local: readonly (number | Backend)[];
};
type EncodedService = Omit<ServicePlan, "ports"> & { readonly ports: readonly EncodedPort[] };

function encodeService(plan: ServicePlan): EncodedService {
  return {
    ...plan,
    ports: plan.ports.map((port) => {
      const numbers = new Map(port.endpoints.map((backend, i) => [backend, i]));
      const encode = (list: readonly Backend[]) =>
        list.map((backend) => numbers.get(backend) ?? backend);
      return { ...port, cluster: encode(port.cluster), local: encode(port.local) };
    }),
  };
}

function decodeService(encoded: EncodedService): ServicePlan {
  return {
    ...encoded,
    ports: encoded.ports.map((port) => {
      const decode = (list: EncodedPort["cluster"]) =>
        list.map((one) => typeof one === "number" ? port.endpoints[one] : one);
      return { ...port, cluster: decode(port.cluster), local: decode(port.local) };
    }),
  };
}
