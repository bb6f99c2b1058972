/**
 * A watch's body: JSON events, one a line, in chunks that end anywhere.
 *
 * @module
 */

import { z } from "zod";
import { ApiFailure, failureFromStatus, messageOf } from "./failure.ts";

/**
 * Longest line, in bytes. etcd refuses objects of more than 1.5 MiB, in a form that is several times
 * shorter than JSON.
 */
export const MAX_LINE_BYTES = 16 * 1024 * 1024;

/** One event of a watch; a bookmark tells only how far the watch has come. */
export type WatchEvent =
  | { readonly type: "ADDED" | "MODIFIED" | "DELETED"; readonly version: string; object: unknown }
  | { readonly type: "BOOKMARK"; readonly version: string };

const eventSchema = z.object({
  type: z.enum(["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]),
  object: z.looseObject({ metadata: z.looseObject({ resourceVersion: z.string().min(1) }) }),
});

const LINE_FEED = 10;

/** Puts lines together from chunks that were split anywhere, also within a character. */
export class LineSplitter {
  readonly #maxBytes: number;
  #parts: Uint8Array[] = [];
  #length = 0;

  constructor(maxBytes: number = MAX_LINE_BYTES) {
    this.#maxBytes = maxBytes;
  }

  /**
   * The lines that a chunk completes, without their line feeds.
   *
   * @throws {ApiFailure} when a line is longer than allowed.
   */
  *push(chunk: Uint8Array): Generator<Uint8Array> {
    let start = 0;
    for (let end = chunk.indexOf(LINE_FEED); end >= 0; end = chunk.indexOf(LINE_FEED, start)) {
      const rest = chunk.subarray(start, end);
      start = end + 1;
      this.#append(rest);
      const line = this.#parts.length === 1 ? rest : this.#joined();
      this.#parts = [];
      this.#length = 0;
      yield line;
    }
    if (start < chunk.length) this.#append(chunk.subarray(start));
  }

  #append(part: Uint8Array): void {
    this.#length += part.length;
    if (this.#length > this.#maxBytes) {
      throw new ApiFailure(`a line is longer than ${this.#maxBytes} bytes`);
    }
    this.#parts.push(part);
  }

  #joined(): Uint8Array {
    const line = new Uint8Array(this.#length);
    let offset = 0;
    for (const part of this.#parts) {
      line.set(part, offset);
      offset += part.length;
    }
    return line;
  }
}

const decoder = new TextDecoder("utf-8", { fatal: true });

/**
 * One line of a watch. Null for an empty line.
 *
 * @throws {ApiFailure} when it is no event, or the ERROR event that ends a watch.
 */
export function parseWatchEvent(line: Uint8Array): WatchEvent | null {
  if (line.length === 0) return null;
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(line));
  } catch (error) {
    throw new ApiFailure(`expected a watch event in JSON: ${messageOf(error)}`);
  }
  const event = value as { type?: unknown; object?: unknown } | null;
  if (event?.type === "ERROR") throw failureFromStatus(event.object);
  const parsed = eventSchema.safeParse(value);
  if (!parsed.success) {
    throw new ApiFailure(
      `expected a watch event with a type and a resourceVersion, found ${typeOf(event)}`,
    );
  }
  const { type, object } = parsed.data;
  const version = object.metadata.resourceVersion;
  return type === "BOOKMARK" ? { type, version } : { type, version, object };
}

function typeOf(event: { type?: unknown } | null): string {
  return typeof event?.type === "string"
    ? `type ${JSON.stringify(event.type.slice(0, 40))}`
    : "none";
}
