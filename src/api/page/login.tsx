/**
 * Where a browser shows the API's token once, and gets a session for it. A page like the others, whose
 * headers it needs to have before.
 *
 * @module
 */

import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import { deleteCookie, setCookie } from "hono/cookie";
import type { FC } from "hono/jsx";
import { tokenCheck } from "../access.ts";
import { boundedBody } from "../body.ts";
import { SESSION_COOKIE, SESSION_SECONDS, Sessions } from "../sessions.ts";
import { ApiError } from "../errors.ts";
import { page } from "./layout.tsx";
import { isSameOrigin } from "./security.ts";

/** Longest form, bytes. */
const MAX_BODY_BYTES = 4096;

const LoginForm: FC<{ next: string; wrong: boolean }> = ({ next, wrong }) => (
  <div class="narrow-form">
    <h1>Sign in</h1>
    <form class="packet" method="post" action="/login">
      <input type="hidden" name="next" value={next} />
      <div class={wrong ? "field wrong" : "field"}>
        <label for="token">Token of this node's API (--api-token-file)</label>
        <input
          id="token"
          name="token"
          type="password"
          required
          autofocus
          autocomplete="current-password"
          aria-invalid={wrong ? "true" : undefined}
          aria-describedby={wrong ? "token-problem" : undefined}
        />
        {wrong && <p class="hint bad" id="token-problem" role="alert">That is not the token.</p>}
      </div>
      <button type="submit">Sign in</button>
    </form>
  </div>
);

/** Adds the routes. */
export function addLogin(
  app: OpenAPIHono,
  token: string,
  sessions: Sessions,
  bodyTimeoutMs: number,
): void {
  const isToken = tokenCheck(token);
  const show = async (context: Context, next: string, wrong: boolean) => {
    const children = <LoginForm next={next} wrong={wrong} />;
    const document = page({ title: "Sign in", section: "/login", live: false, children });
    return context.html(await document, wrong ? 401 : 200);
  };
  app.get("/login", (context) => show(context, ownPath(context.req.query("next")), false));
  app.post("/login", boundedBody({ maxBytes: MAX_BODY_BYTES, maxMs: bodyTimeoutMs }));
  app.post("/login", async (context) => {
    refuseForeign(context);
    const form = new URLSearchParams(await context.req.text());
    const next = ownPath(form.get("next") ?? undefined);
    if (!await isToken(form.get("token")?.trim() ?? "")) return show(context, next, true);
    setCookie(context, SESSION_COOKIE, await sessions.begin(), {
      httpOnly: true,
      sameSite: "Strict",
      path: "/",
      maxAge: SESSION_SECONDS,
    });
    return context.redirect(next, 303);
  });
  app.post("/logout", (context) => {
    refuseForeign(context);
    deleteCookie(context, SESSION_COOKIE, { path: "/" });
    return context.redirect("/login", 303);
  });
}

/** A form on another site must not sign anyone in or out. */
function refuseForeign(context: Context): void {
  if (isSameOrigin(context.req.raw)) return;
  throw new ApiError(403, "foreign_origin", "expected a form of this very site");
}

/** Where to go on: a path of this site, whatever was asked for. */
function ownPath(next: string | undefined): string {
  return next !== undefined && /^\/(?![/\\])[\x21-\x7e]*$/.test(next) ? next : "/";
}
