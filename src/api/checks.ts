/**
 * What happens to every request before it is answered.
 *
 * @module
 */

import type { Context, Handler, MiddlewareHandler } from "hono";

/**
 * A look at a request: null lets it pass at once, undefined or another outcome of a promise once that
 * is there, and a response is the answer. Throws ApiError.
 */
export type Check = (context: Context) => Promise<Response | void> | Response | null;

/** All checks, one after the other, as one middleware: each of these costs a turn of its own. */
export function checks(...all: readonly Check[]): MiddlewareHandler {
  return (context, next) => pass(all, context, next);
}

/** A handler behind all checks, for an application that has no middleware. */
export function checked(
  handler: (context: Context) => Response | Promise<Response>,
  ...all: readonly Check[]
): Handler {
  return (context) => pass(all, context, () => handler(context));
}

/** What the first check answers that does, and else what comes behind them. */
function pass<Outcome>(
  all: readonly Check[],
  context: Context,
  then: () => Outcome,
): Outcome | Promise<Response | Awaited<Outcome>> {
  for (let i = 0; i < all.length; i++) {
    const outcome = all[i](context);
    if (outcome !== null) return settle(outcome, all.slice(i + 1), context, then);
  }
  return then();
}

async function settle<Outcome>(
  outcome: Promise<Response | void> | Response,
  others: readonly Check[],
  context: Context,
  then: () => Outcome,
): Promise<Response | Awaited<Outcome>> {
  const answer = await outcome;
  return answer instanceof Response ? answer : await pass(others, context, then);
}
