/**
 * Answers that are large where there are many Services, so bounded that neither many who ask at once
 * nor clients that do not read what they asked for take all memory.
 *
 * @module
 */

import type { Context, MiddlewareHandler } from "hono";
import type { Check } from "./checks.ts";
import { ApiError } from "./errors.ts";

/** How large answers are bounded. */
export interface LargeLimits {
  /** What is longer is sent piece by piece, bytes. */
  readonly fromBytes: number;
  /** While more waits to be read, nobody else is answered, bytes. */
  readonly waitingBytes: number;
  /** A client has to take a piece within this time or two, milliseconds. */
  readonly stallMs: number;
}

export const LARGE_LIMITS: LargeLimits = {
  fromBytes: 1 << 20,
  waitingBytes: 1 << 27,
  stallMs: 30_000,
};

/** Bytes of a piece. */
const PIECE = 1 << 16;

/** Makes large answers one after the other, and keeps account of what waits to be read. */
export class LargeAnswers {
  readonly #limits: LargeLimits;
  readonly #first: Check;
  #row: Promise<void> = Promise.resolve();
  #inTurn: Context | null = null;
  #waiting = 0;

  /** @param first is asked when it is a request's turn, however long it waited for it. */
  constructor(limits: LargeLimits, first: Check = () => null) {
    this.#limits = limits;
    this.#first = first;
  }

  /** For paths whose answers can be large. */
  readonly middleware: MiddlewareHandler = async (context, next) => {
    // A path can be matched by several patterns: nobody waits for itself.
    if (context === this.#inTurn) return await next();
    const { promise, resolve: leave } = Promise.withResolvers<void>();
    const before = this.#row;
    this.#row = promise;
    await before;
    this.#inTurn = context;
    try {
      await this.#first(context);
      this.#refuseMore(context);
      await next();
      await this.#bound(context);
    } finally {
      this.#inTurn = null;
      leave();
    }
  };

  #refuseMore(context: Context): void {
    if (this.#waiting <= this.#limits.waitingBytes) return;
    context.header("Retry-After", "10");
    const why = "others have not read their large answers yet; try again later";
    throw new ApiError(503, "too_many_answers", why);
  }

  async #bound(context: Context): Promise<void> {
    const { status, headers, body } = context.res;
    if (body === null) return;
    const bytes = new Uint8Array(await context.res.arrayBuffer());
    if (bytes.length > this.#limits.fromBytes) {
      headers.set("Content-Length", String(bytes.length));
      context.res = new Response(this.#pieces(bytes), { status, headers });
    } else {
      context.res = new Response(bytes, { status, headers });
    }
  }

  /** Sends bytes as they are read, and gives up when they are not. */
  #pieces(bytes: Uint8Array): ReadableStream<Uint8Array> {
    let at = 0;
    let taken = true;
    let watch: ReturnType<typeof setInterval> | undefined;
    this.#waiting += bytes.length;
    const end = () => {
      if (watch === undefined) return;
      clearInterval(watch);
      watch = undefined;
      this.#waiting -= bytes.length;
    };
    return new ReadableStream({
      start: (controller) => {
        watch = setInterval(() => {
          if (!taken) {
            end();
            // Deno prints it, as one line because it is a text.
            controller.error("a client that did not read its answer was let go");
          }
          taken = false;
        }, this.#limits.stallMs);
      },
      pull(controller) {
        taken = true;
        controller.enqueue(bytes.subarray(at, at += PIECE));
        if (at < bytes.length) return;
        end();
        controller.close();
      },
      cancel: end,
    }, { highWaterMark: 0 });
  }
}
