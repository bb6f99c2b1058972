/**
 * Request bodies: bounded in size and in time, whatever the sender claims.
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
  const reader = body.getReader();
  let expired = false;
  const timer = setTimeout(() => {
    expired = true;
    reader.cancel("too slow").catch(() => {});
  }, limits.maxMs);
  try {
    if (claimed > limits.maxBytes) throw tooLong();
    const chunks: Uint8Array[] = [];
    let length = 0;
    while (true) {
      const { done, value } = await reader.read().catch(brokenOff);
      if (expired) break;
      if (done) return concatenate(chunks, length);
      length += value.length;
      if (length > limits.maxBytes) throw tooLong();
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
    clearTimeout(timer);
  }
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
