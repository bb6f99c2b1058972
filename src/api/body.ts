/**
 * Request bodies: bounded in size and in time, each by itself and all together, whatever the sender
 * claims.
 *
 * @module
 */

import type { MiddlewareHandler } from "hono";
import { ApiError } from "./errors.ts";
import { messageOf } from "../errors.ts";

/** What a request body may be. */
export interface BodyLimits {
  readonly maxBytes: number;
  /** The whole body has to be there within this time, milliseconds. */
  readonly maxMs: number;
  /** What all bodies that come at the same time may take together; absent: one for all of the process. */
  readonly room?: Room;
}

/** Memory for bodies of which more may come. */
export class Room {
  #left: number;

  constructor(bytes: number) {
    this.#left = bytes;
  }

  /** Takes bytes, or gives them back; false: there are not as many left, and none were taken. */
  take(bytes: number): boolean {
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    return true;
  }
}

const ROOM_FOR_ALL = new Room(1 << 28);

/** Short bodies need no room: those who ask a single question are answered whatever others send. */
const FREE_BYTES = 1 << 12;

function counted(length: number): number {
  return Math.max(0, length - FREE_BYTES);
}

/**
 * Reads the body as it comes, gives up as soon as it is too long or too late, and hands a complete
 * JSON text on. What is not UTF-8 or not JSON is answered here, with where it went wrong.
 */
export function jsonBody(limits: BodyLimits): MiddlewareHandler {
  return wholeBody(limits, (bytes, type) => {
    if (/^application\/json\b/i.test(type)) checkJson(bytes);
  });
}

/** The same for bodies of any type. */
export function boundedBody(limits: BodyLimits): MiddlewareHandler {
  return wholeBody(limits, () => {});
}

function wholeBody(
  limits: BodyLimits,
  check: (bytes: Uint8Array, type: string) => void,
): MiddlewareHandler {
  return async (context, next) => {
    const request = context.req.raw;
    if (request.body === null) return next();
    const bytes = await readBody(request, limits);
    check(bytes, request.headers.get("content-type") ?? "");
    const { url, method, headers } = request;
    context.req.raw = new Request(url, { method, headers, body: bytes });
    await next();
  };
}

/**
 * Reads a body as it comes, and gives up as soon as it is too long or too late.
 *
 * @throws {ApiError}
 */
export async function readBody(
  { body, headers }: Request,
  limits: BodyLimits,
): Promise<Uint8Array<ArrayBuffer>> {
  if (body === null) return new Uint8Array();
  const encoding = headers.get("content-encoding");
  if (encoding !== null && encoding !== "identity") {
    await body.cancel();
    throw new ApiError(
      415,
      "unsupported_media_type",
      `content-encoding ${encoding}: expected a body that is not compressed`,
    );
  }
  const claimed = Number(headers.get("content-length"));
  const tooLong = () =>
    new ApiError(
      413,
      "too_large",
      `the body is too long: expected at most ${limits.maxBytes} bytes`,
    );
  const { room = ROOM_FOR_ALL } = limits;
  const reader = body.getReader();
  let length = 0;
  let expired = false;
  const timer = setTimeout(() => {
    expired = true;
    reader.cancel("too slow").catch(() => {});
  }, limits.maxMs);
  try {
    if (claimed > limits.maxBytes) throw tooLong();
    const chunks: Uint8Array[] = [];
    while (true) {
      const { done, value } = await reader.read().catch(brokenOff);
      if (expired) break;
      if (done) return concatenate(chunks, length);
      if (length + value.length > limits.maxBytes) throw tooLong();
      if (!room.take(counted(length + value.length) - counted(length))) throw noRoom();
      length += value.length;
      chunks.push(value);
    }
    throw new ApiError(
      408,
      "timeout",
      `the body did not come: expected all of it within ${limits.maxMs} ms`,
    );
  } catch (error) {
    await reader.cancel().catch(() => {});
    throw error;
  } finally {
    room.take(-counted(length));
    clearTimeout(timer);
  }
}

function noRoom(): ApiError {
  return new ApiError(503, "too_many_bodies", "other bodies take all memory; try again later");
}

function brokenOff(error: unknown): never {
  const why = messageOf(error);
  throw new ApiError(400, "incomplete_body", `the body did not come as a whole: ${why}`);
}

function concatenate(chunks: readonly Uint8Array[], length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.length;
  }
  return bytes;
}

function checkJson(bytes: Uint8Array): void {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new ApiError(400, "invalid_json", "the body is not UTF-8");
  }
  try {
    JSON.parse(text);
  } catch (error) {
    const detail = error instanceof Error ? error.message.slice(0, 200) : "";
    throw new ApiError(400, "invalid_json", `the body is not JSON: ${detail}`);
  }
}
