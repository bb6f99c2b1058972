/**
 * A list's body, read item by item: a list of the whole cluster, which an API server may send in one
 * answer however small a page was asked for, is never in memory as text nor as a tree.
 *
 * @module
 */

import { z } from "zod";
import { ApiFailure, messageOf } from "./failure.ts";
import { MAX_LINE_BYTES } from "./watch_stream.ts";

/** What a list says of itself. */
export interface ListMetadata {
  /** From where a watch may begin. */
  readonly resourceVersion: string;
  /** Asks for the next page; absent on the last one. */
  readonly continue?: string;
}

const envelopeSchema = z.object({
  metadata: z.object({
    resourceVersion: z.string().min(1),
    continue: z.string().optional().transform((token) => token === "" ? undefined : token),
  }),
  items: z.array(z.unknown()).nullish(),
});

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** Most bytes of a list outside of its items. */
const MAX_ENVELOPE_BYTES = 1024 * 1024;

/**
 * Cuts the elements of the top-level array "items" out of a JSON object that comes in pieces. What
 * is left is a JSON object with `"items":[]`. It only finds the borders: whether the pieces are JSON
 * is for JSON.parse to say.
 */
export class ItemCutter {
  readonly #onItem: (item: Uint8Array) => void;
  readonly #item: Piece;
  readonly #envelope: Piece;
  #depth = 0;
  #inString = false;
  #escaped = false;
  /** Whether the innermost open thing is, or is within, the array of items. */
  #inItems = false;
  /** The characters of the last string at depth 1, which may be the key "items". */
  #key: number[] = [];

  constructor(onItem: (item: Uint8Array) => void, maxItemBytes: number = MAX_LINE_BYTES) {
    this.#onItem = onItem;
    this.#item = new Piece("an item", maxItemBytes);
    this.#envelope = new Piece("what surrounds the items", MAX_ENVELOPE_BYTES);
  }

  /** @throws {ApiFailure} when an item is longer than allowed. */
  push(chunk: Uint8Array): void {
    // Everything from `start` on belongs to the current piece, and is not copied yet.
    let start = 0;
    for (let index = 0; index < chunk.length; index++) {
      const byte = chunk[index];
      if (this.#inString) {
        this.#string(byte);
        continue;
      }
      if (byte === QUOTE) {
        this.#inString = true;
        if (this.#depth === 1) this.#key = [];
      } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
        this.#depth++;
        if (this.#depth === 2 && byte === OPEN_BRACKET && this.#keyIsItems()) {
          this.#envelope.append(chunk.subarray(start, index + 1));
          start = index + 1;
          this.#inItems = true;
        }
      } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
        this.#depth--;
        if (this.#inItems && this.#depth === 1) {
          this.#finish(chunk.subarray(start, index));
          start = index;
          this.#inItems = false;
        }
      } else if (byte === COMMA && this.#inItems && this.#depth === 2) {
        this.#finish(chunk.subarray(start, index));
        start = index + 1;
      }
    }
    (this.#inItems ? this.#item : this.#envelope).append(chunk.subarray(start));
  }

  /** What surrounds the items, when all chunks are in. */
  envelope(): Uint8Array {
    return this.#envelope.take();
  }

  #string(byte: number): void {
    if (this.#escaped) this.#escaped = false;
    else if (byte === BACKSLASH) this.#escaped = true;
    else if (byte === QUOTE) this.#inString = false;
    if (this.#inString && this.#depth === 1 && this.#key.length <= 5) this.#key.push(byte);
  }

  #keyIsItems(): boolean {
    return this.#depth === 2 && String.fromCharCode(...this.#key) === "items";
  }

  #finish(rest: Uint8Array): void {
    this.#item.append(rest);
    const item = this.#item.take();
    if (item.some((byte) => byte > 0x20)) this.#onItem(item);
  }
}

/** Bytes that are gathered, up to a limit. */
class Piece {
  readonly #what: string;
  readonly #maxBytes: number;
  #parts: Uint8Array[] = [];
  #length = 0;

  constructor(what: string, maxBytes: number) {
    this.#what = what;
    this.#maxBytes = maxBytes;
  }

  append(part: Uint8Array): void {
    if (part.length === 0) return;
    this.#length += part.length;
    if (this.#length > this.#maxBytes) {
      throw new ApiFailure(`the list has more than ${this.#maxBytes} bytes in ${this.#what}`);
    }
    this.#parts.push(part);
  }

  take(): Uint8Array {
    const parts = this.#parts;
    const whole = parts.length === 1 ? parts[0] : new Uint8Array(this.#length);
    if (parts.length !== 1) {
      let offset = 0;
      for (const part of parts) {
        whole.set(part, offset);
        offset += part.length;
      }
    }
    this.#parts = [];
    this.#length = 0;
    return whole;
  }
}

const decoder = new TextDecoder("utf-8", { fatal: true });

/**
 * Reads a list to its end, item by item.
 *
 * @throws {ApiFailure} when the body breaks off or is no list.
 */
export async function readList(
  body: AsyncIterable<Uint8Array>,
  onItem: (item: unknown) => void,
): Promise<ListMetadata> {
  const cutter = new ItemCutter((bytes) => onItem(parse(bytes)));
  for await (const chunk of body) cutter.push(chunk);
  const envelope = envelopeSchema.safeParse(parse(cutter.envelope()));
  if (!envelope.success) {
    throw new ApiFailure("expected a list with metadata.resourceVersion and items");
  }
  return envelope.data.metadata;
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(bytes));
  } catch (error) {
    throw new ApiFailure(`expected a list in JSON: ${messageOf(error)}`);
  }
}
