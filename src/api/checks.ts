/**
 * What happens to every request before it is answered.
 *
 * @module
 */

import type { Context, MiddlewareHandler } from "hono";

/**
 * A look at a request: null lets it pass at once, undefined or another outcome of a promise once that
 * is there, and a response is the answer. Throws ApiError.
 */
export type Check = (context: Context) => Promise<Response | void> | Response | null;

/** All checks, one after the other, as one middleware: each of these costs a turn of its own. */
export function checks(...all: readonly Check[]): MiddlewareHandler {
  return (context, next) => {
    for (let i = 0; i < all.length; i++) {
      const outcome = all[i](context);
      if (outcome !== null) return settle(outcome, all.slice(i + 1), context, next);
    }
    return next();
  };
}

async function settle(
  outcome: Promise<Response | void> | Response,
  others: readonly Check[],
  context: Context,
  next: () => Promise<void>,
): Promise<Response | void> {
  const answer = await outcome;
  return answer instanceof Response ? answer : await checks(...others)(context, next);
}
