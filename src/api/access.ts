/**
 * Who may ask: by token or session where others can reach the address, by the name that was dialled
 * where only this machine can.
 *
 * @module
 */

import { timingSafeEqual } from "node:crypto";
import type { Context } from "hono";
import { getCookie } from "hono/cookie";
import { isLoopback } from "../config/values.ts";
import { parseAddress } from "../net/address.ts";
import type { Check } from "./checks.ts";
import { ApiError } from "./errors.ts";
import { oncePerHost } from "./host.ts";
import { isSameOrigin } from "./page/security.ts";
import { SESSION_COOKIE, type Sessions } from "./sessions.ts";

/** How a request came, as whoever listens says. */
export interface Arrival {
  /** By a way that has let only those through who may ask: a Unix socket, this process itself. */
  readonly trusted?: boolean;
  /** By an address of this machine alone: any page that a browser shows could send it there. */
  readonly loopback?: boolean;
}

/** What anyone may see, to become someone who may see more. */
const PUBLIC = /^\/(?:login|assets\/[^/]+)$/;

/**
 * Lets only those through who may ask.
 *
 * @param token bearer token (RFC 6750); null: whoever reaches the address may ask.
 * @param sessions of browsers that have shown the token; null where there is none.
 */
export function guard(token: string | null, sessions: Sessions | null): Check {
  if (token === null) return ownNames();
  const isToken = tokenCheck(token);
  return async (context) => {
    if (arrivalOf(context).trusted) return;
    if (PUBLIC.test(context.req.path)) return;
    const header = context.req.header("authorization");
    if (header !== undefined) {
      const given = /^Bearer +(.+)$/i.exec(header)?.[1].trim() ?? "";
      if (await isToken(given)) return;
    } else if (await hasSession(context, sessions)) return;
    else if (wantsPage(context)) {
      const { pathname, search } = new URL(context.req.url);
      return context.redirect(`/login?next=${encodeURIComponent(pathname + search)}`, 303);
    }
    context.header("WWW-Authenticate", "Bearer");
    throw new ApiError(401, "unauthorized", "expected the bearer token of this API");
  };
}

function arrivalOf(context: Context): Arrival {
  return (context.env ?? {}) as Arrival;
}

/**
 * Refuses names that are not this machine's: a foreign page whose name was made to resolve to a
 * loopback address (DNS rebinding) would read the answers otherwise.
 */
function ownNames(): Check {
  const check = oncePerHost(checkHost);
  return (context) => arrivalOf(context).loopback ? check(context) : null;
}

/** A session counts only for what a page of this origin asks: the cookie alone proves no wish. */
async function hasSession(context: Context, sessions: Sessions | null): Promise<boolean> {
  const cookie = getCookie(context, SESSION_COOKIE);
  if (sessions === null || cookie === undefined || !await sessions.isValid(cookie)) return false;
  return context.req.method === "GET" || isSameOrigin(context.req.raw);
}

function wantsPage(context: Context): boolean {
  return context.req.method === "GET" && !context.req.path.startsWith("/api/") &&
    (context.req.header("accept") ?? "").includes("text/html");
}

/** Compares texts with the token; digests have one length, so that time tells nothing of its. */
export function tokenCheck(token: string): (given: string) => Promise<boolean> {
  const expected = digest(token);
  return async (given) =>
    given !== "" &&
    timingSafeEqual(new Uint8Array(await digest(given)), new Uint8Array(await expected));
}

function digest(text: string): Promise<ArrayBuffer> {
  return crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
}

function checkHost(url: string): void {
  const { hostname } = new URL(url);
  const address = parseAddress(hostname.replace(/^\[(.*)\]$/, "$1"));
  const own = address === null
    ? hostname === "localhost" || hostname.endsWith(".localhost")
    : isLoopback(address);
  if (own) return;
  throw new ApiError(
    421,
    "misdirected_request",
    `Host ${hostname}: expected localhost or a loopback address`,
  );
}
