/** How a browser shows the token once, and what its session is good for. */

import assert from "node:assert/strict";
import { queryApp } from "../../../src/api/app.ts";
import { Metrics } from "../../../src/api/metrics.ts";
import { SESSION_SECONDS, Sessions } from "../../../src/api/sessions.ts";
import { withQueryApi } from "../http.ts";
import { FixedState } from "../fixtures.ts";
import { RealState, web } from "../real_state.ts";
import { requires } from "../../requirements.ts";
import { NODE_NAME, watchedPage, withBrowser } from "./browser.ts";

const TOKEN = "0123456789abcdef";
const BROWSER = { accept: "text/html,*/*" };

function app() {
  return queryApp(new FixedState(), new Metrics(["IPv4"], "1"), { version: "1", token: TOKEN });
}

function login(fields: Record<string, string>, headers: HeadersInit = {}): RequestInit {
  return { method: "POST", body: new URLSearchParams(fields), headers };
}

async function sessionOf(application: ReturnType<typeof app>): Promise<string> {
  const { status, headers } = await application.request("/login", login({ token: TOKEN }));
  assert.equal(status, 303);
  const cookie = headers.get("set-cookie")!;
  for (const part of [/HttpOnly/, /SameSite=Strict/, /Path=\//, /Max-Age=\d+/]) {
    assert.match(cookie, part);
  }
  assert.ok(!cookie.includes(TOKEN));
  return cookie.split(";")[0];
}

Deno.test("a browser is led to the form, programs are told what is missing", async () => {
  const application = app();
  const page = await application.request("/explain?port=80", { headers: BROWSER });
  assert.equal(page.status, 303);
  assert.equal(page.headers.get("location"), "/login?next=%2Fexplain%3Fport%3D80");
  assert.equal((await application.request("/explain")).status, 401);
  const api = await application.request("/api/v1/services", { headers: BROWSER });
  assert.equal(api.status, 401);
  const { status, headers } = await application.request("/login", { headers: BROWSER });
  assert.equal(status, 200);
  assert.match(headers.get("content-security-policy")!, /frame-ancestors 'none'/);
  assert.equal((await application.request("/assets/style.css")).status, 200);
});

Deno.test("the token opens a session, and nothing else does", async () => {
  const application = app();
  const wrong = await application.request("/login", login({ token: "0123456789abcdeX" }));
  assert.equal(wrong.status, 401);
  assert.equal(wrong.headers.get("set-cookie"), null);
  assert.match(await wrong.text(), /That is not the token/);
  const cookie = await sessionOf(application);
  const status = async (path: string, init: RequestInit) =>
    (await application.request(path, init)).status;
  assert.equal(await status("/", { headers: { cookie } }), 200);
  assert.equal(await status("/api/v1/services", { headers: { cookie } }), 200);
  assert.equal(await status("/", { headers: { cookie: `${cookie}0` } }), 401);
  const [name, value] = cookie.split("=");
  const later = `${name}=${Number(value.split(".")[0]) + 1}.${value.split(".")[1]}`;
  assert.equal(await status("/", { headers: { cookie: later } }), 401);
  const bearer = { cookie, authorization: "Bearer nonsense" };
  assert.equal(await status("/", { headers: bearer }), 401);
});

Deno.test("a foreign page can neither use a session nor begin or end one", async () => {
  const application = app();
  const cookie = await sessionOf(application);
  const body = JSON.stringify({ packets: [] });
  const lookup = (headers: Record<string, string>) =>
    application.request("/api/v1/lookup", {
      method: "POST",
      body,
      headers: { cookie, "content-type": "application/json", ...headers },
    });
  assert.equal((await lookup({ "sec-fetch-site": "same-origin" })).status, 200);
  assert.equal((await lookup({ "sec-fetch-site": "cross-site" })).status, 401);
  assert.equal((await lookup({ "sec-fetch-site": "same-site" })).status, 401);
  assert.equal((await lookup({ origin: "http://evil.example" })).status, 401);
  const foreign = { origin: "http://evil.example" };
  assert.equal((await application.request("/login", login({ token: TOKEN }, foreign))).status, 403);
  const logout = await application.request("/logout", login({}, { cookie, ...foreign }));
  assert.ok([401, 403].includes(logout.status));
});

Deno.test("after the form it goes on to a page of this site only", async () => {
  const next = async (next: string) =>
    (await app().request("/login", login({ token: TOKEN, next }))).headers.get("location");
  assert.equal(await next("/explain?port=80"), "/explain?port=80");
  for (const bad of ["//evil.example", "https://evil.example", "/\\evil.example", "", "/a\r\nb"]) {
    assert.equal(await next(bad), "/", JSON.stringify(bad));
  }
});

Deno.test("a session ends by time, and with the token", async () => {
  let now = 1_000_000;
  const sessions = new Sessions(TOKEN, () => now);
  const cookie = await sessions.begin();
  assert.ok(await sessions.isValid(cookie));
  assert.ok(!await new Sessions("another-token-0123", () => now).isValid(cookie));
  now += SESSION_SECONDS * 1000;
  assert.ok(!await sessions.isValid(cookie));
  for (const bad of ["", ".", "1.2", `9999999999.${"0".repeat(64)}`]) {
    assert.ok(!await sessions.isValid(bad), bad);
  }
});

Deno.test({
  ...requires("a person signs in, sees live pages, and signs out", "chromium"),
  async fn() {
    const state = new RealState("userspace");
    await state.apply(web());
    await withQueryApi(state, async (_, base) => {
      await withBrowser(async (browser) => {
        // Tokens are for other addresses than loopback: there browsers tell less of where forms come from.
        const site = base.replace("127.0.0.1", NODE_NAME);
        const { page, troubles } = await watchedPage(browser, site);
        await page.goto("/services/default/web");
        await page.waitForURL("**/login?next=*");
        await page.locator("#token:focus").waitFor();
        await page.keyboard.type("wrong-wrong-wrong");
        await page.keyboard.press("Enter");
        await page.getByText("That is not the token.").waitFor();
        await page.fill("#token", TOKEN);
        await page.keyboard.press("Enter");
        await page.waitForURL("**/services/default/web");
        await page.locator('#live[data-state="live"]').waitFor();
        await page.selectOption("#from", "node");
        await page.locator(".path.wide", { hasText: "This node" }).waitFor();
        await page.getByRole("button", { name: "Sign out" }).click();
        await page.waitForURL("**/login");
        await page.goto("/");
        await page.waitForURL("**/login?next=*");
        const expected = /status of 401|Cross-Origin-Opener-Policy header has been ignored/;
        assert.deepEqual(troubles.filter((line) => !expected.test(line)), []);
      });
    }, { token: TOKEN });
  },
});
