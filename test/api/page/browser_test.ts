/** The pages in a real browser: by keyboard, on a phone, live, and to themselves. */

import assert from "node:assert/strict";
import type { Browser, Page } from "playwright-core";
import type { ClusterObject } from "../../../src/cluster/objects.ts";
import { withQueryApi } from "../http.ts";
import { plain, RealState, slice, web } from "../real_state.ts";
import { requires } from "../../requirements.ts";
import { watchedPage, withBrowser } from "./browser.ts";

const EXPLAINED = "/explain?source=203.0.113.9&dest=10.0.1.175&port=80&protocol=TCP";
const PAGES = [
  "/",
  "/services/default/web",
  EXPLAINED,
  "/drift",
  "/history",
  "/history/1",
  "/docs",
];

async function withPages(
  test: (browser: Browser, base: string, state: RealState) => Promise<void>,
): Promise<void> {
  const state = new RealState("iptables");
  await state.apply([...web(), plain("empty", "10.0.1.200")]);
  await withQueryApi(state, async (_, base) => {
    await withBrowser((browser) => test(browser, base, state));
  });
}

/** Goes on with Tab until an element has the focus. */
async function tabTo(page: Page, selector: string): Promise<void> {
  for (let i = 0; i < 60; i++) {
    await page.keyboard.press("Tab");
    if (await page.evaluate((one) => document.activeElement?.matches(one) ?? false, selector)) {
      return;
    }
  }
  throw new Error(`${selector} cannot be reached with Tab`);
}

const text = (page: Page, selector: string) => page.locator(selector).first().innerText();

Deno.test({
  ...requires("everything can be done by keyboard", "chromium"),
  fn: () =>
    withPages(async (browser, base) => {
      const { page, troubles } = await watchedPage(browser, base);
      await page.goto("/");
      await page.keyboard.press("Tab");
      assert.equal(
        await page.evaluate(() => document.activeElement?.textContent),
        "Skip to content",
      );
      await page.keyboard.press("Enter");
      await tabTo(page, "#search");
      await page.keyboard.type("WEB");
      await page.locator("tbody tr").nth(1).waitFor({ state: "detached" });
      assert.match(await text(page, "tbody th"), /default\/web/);
      await tabTo(page, 'a[href="/services/default/web"]');
      await page.keyboard.press("Enter");
      await page.waitForURL("**/services/default/web");
      assert.match(await text(page, ".verdict"), /FORWARD/);
      await tabTo(page, "#from");
      await page.keyboard.press("ArrowDown");
      await page.locator(".path.wide", { hasText: "This node" }).waitFor();
      await page.locator("#from:focus").waitFor();
      await tabTo(page, 'nav a[href="/explain"]');
      await page.keyboard.press("Enter");
      await page.waitForURL("**/explain");
      await tabTo(page, "#source");
      await page.keyboard.type("203.0.113.9");
      await tabTo(page, "#dest");
      await page.keyboard.type("10.0.1.300");
      await tabTo(page, "#port");
      await page.keyboard.type("80");
      await page.keyboard.press("Enter");
      await page.locator("#dest-problem").waitFor();
      assert.equal(await page.getAttribute("#dest", "aria-invalid"), "true");
      assert.equal(await page.inputValue("#source"), "203.0.113.9");
      await page.locator("#dest").focus();
      await page.keyboard.press("Backspace");
      await page.keyboard.press("Backspace");
      await page.keyboard.press("Backspace");
      await page.keyboard.type("175");
      await page.keyboard.press("Enter");
      await page.locator(".steps").waitFor();
      assert.match(await text(page, ".verdict"), /FORWARD/);
      assert.match(page.url(), /dest=10\.0\.1\.175/);
      assert.deepEqual(troubles.filter((line) => !/status of 400/.test(line)), []);
    }),
});

Deno.test({
  ...requires("no page is wider than a small phone, in light or dark", "chromium"),
  fn: () =>
    withPages(async (browser, base) => {
      for (const colorScheme of ["light", "dark"] as const) {
        const viewport = { width: 320, height: 640 };
        const { page, troubles } = await watchedPage(browser, base, { viewport, colorScheme });
        for (const path of PAGES) {
          await page.goto(path);
          const wide = await page.evaluate(() => {
            const room = document.documentElement.clientWidth;
            const scrolls = document.documentElement.scrollWidth > room;
            const out = [...document.querySelectorAll("main *")].filter((one) =>
              !one.closest("pre, svg, thead") && one.getBoundingClientRect().right > room + 1
            );
            return [scrolls ? "scrolls" : "", ...out.map((one) => one.outerHTML.slice(0, 80))];
          });
          assert.deepEqual(wide, [""], `${path} ${colorScheme}`);
        }
        assert.deepEqual(troubles, []);
      }
    }),
});

/** A Service whose every name is as long as Kubernetes lets it be. */
const LONG = "a-name-with-many-parts-".repeat(3).slice(0, 63);

function longNames(): ClusterObject[] {
  return [
    {
      kind: "Service",
      metadata: { name: LONG, namespace: "default" },
      spec: {
        type: "LoadBalancer",
        clusterIP: "10.0.1.99",
        sessionAffinity: "ClientIP",
        externalTrafficPolicy: "Local",
        healthCheckNodePort: 32500,
        ports: [{ name: "http", protocol: "TCP", port: 80, nodePort: 30081 }],
      },
    },
    slice(LONG, Array.from({ length: 12 }, (_, i) => `10.180.1.${i + 1}`)),
  ];
}

Deno.test({
  ...requires("words stay whole, and names apart, however long they are", "chromium"),
  fn: () =>
    withPages(async (browser, base, state) => {
      await state.apply(longNames());
      // On a phone rows are cards, and nobody sees the heads of their columns.
      for (const [width, words] of [[1280, ".fact dd, thead th"], [360, ".fact dd"]] as const) {
        const viewport = { width, height: 900 };
        const { page } = await watchedPage(browser, base, { viewport });
        await page.goto(`/services/default/${LONG}`);
        const faults = await page.evaluate((words) => {
          const broken: string[] = [];
          for (const cell of document.querySelectorAll(words)) {
            const text = cell.firstChild!;
            for (const { index, 0: word } of text.textContent!.matchAll(/\S+/g)) {
              const range = document.createRange();
              range.setStart(text, index);
              range.setEnd(text, index + word.length);
              const lines = new Set([...range.getClientRects()].map(({ top }) => top));
              if (lines.size > 1) broken.push(word);
            }
          }
          for (const card of document.querySelectorAll(".path .card.end")) {
            const [name, share] = [".name", ".share"].map((part) =>
              card.querySelector(part)!.getBoundingClientRect()
            );
            const isSeen = share.width > 0;
            if (isSeen && name.right > share.left - 2) broken.push(card.textContent!);
          }
          return broken;
        }, words);
        assert.deepEqual(faults, [], `${width} wide`);
      }
    }),
});

Deno.test({
  ...requires(
    "a change is seen without asking again, and so is that the proxy is away",
    "chromium",
  ),
  fn: async () => {
    let seen: Promise<void> | null = null;
    await withBrowser(async (browser) => {
      const state = new RealState("iptables");
      await state.apply(web());
      await withQueryApi(state, async (_, base) => {
        const { page, troubles } = await watchedPage(browser, base);
        await page.goto("/services/default/web");
        await page.locator('#live[data-state="live"]').waitFor();
        await page.locator("details.more summary").click();
        const change = async (addresses: readonly string[]) => {
          await state.apply([slice("web", addresses)]);
          const services = { updated: ["default/web"], updatedTotal: 1 };
          const none = { removed: [], removedTotal: 0 };
          state.events.publish({ type: "change", node: false, ...services, ...none });
        };
        await change(["10.180.7.7"]);
        await page.locator("tbody", { hasText: "10.180.7.7:8080" }).waitFor();
        await page.selectOption("#from", "node");
        await page.locator(".path.wide", { hasText: "This node" }).waitFor();
        await change(["10.180.7.8"]);
        await page.locator("tbody", { hasText: "10.180.7.8:8080" }).waitFor();
        assert.equal(await page.inputValue("#from"), "node");
        assert.equal(await page.locator(".path.wide", { hasText: "This node" }).count(), 1);
        assert.equal(await page.locator("details.more").getAttribute("open"), "");
        assert.deepEqual(troubles, []);
        seen = page.locator('#live[data-state="away"]').waitFor();
      });
      await seen;
    });
  },
});

Deno.test({
  ...requires("pages keep to themselves, and every part has a name", "chromium"),
  fn: () =>
    withPages(async (browser, base) => {
      const { page, troubles } = await watchedPage(browser, base);
      for (const path of [...PAGES, "/services/default/empty"]) {
        await page.goto(path);
        assert.deepEqual(await page.evaluate(flaws), [], path);
      }
      await page.goto("/drift");
      await page.getByRole("button", { name: "Verify every frontend" }).click();
      await page.getByText(/The engine and the rules of the last sync agree about/).waitFor();
      assert.deepEqual(troubles, []);
    }),
});

/** What is missing for those who hear the page instead of seeing it. */
function flaws(): string[] {
  const found: string[] = [];
  const expect = (holds: boolean, what: string) => {
    if (!holds) found.push(what);
  };
  const all = (selector: string) => [...document.querySelectorAll(selector)];
  expect(document.documentElement.lang === "en", "language");
  expect(document.title.length > 12, "title");
  for (const one of ["main", "h1", "header", "footer"]) {
    expect(all(one).length === 1, `one ${one}`);
  }
  for (const nav of all("nav")) expect(nav.hasAttribute("aria-label"), "name of nav");
  for (const field of all("input:not([type=hidden]), select")) {
    expect((field as HTMLInputElement).labels?.length === 1, `label of ${field.id}`);
  }
  for (const svg of all("svg")) {
    const named = svg.getAttribute("role") === "img" && svg.getAttribute("aria-label") !== "";
    expect(named || svg.getAttribute("aria-hidden") === "true", "name of svg");
  }
  const ids = all("[id]").map((one) => one.id);
  expect(new Set(ids).size === ids.length, "ids that are there once");
  for (const header of all("th")) expect(header.hasAttribute("scope"), "scope of th");
  const levels = all("h1, h2, h3, h4").map(({ tagName }) => Number(tagName[1]));
  expect(levels.every((level, i) => i === 0 || level <= levels[i - 1] + 1), "order of headings");
  for (const one of all("[style], script:not([src]), style")) {
    expect(false, `inline ${one.tagName}`);
  }
  return found;
}

Deno.test({
  ...requires("pages work without scripts", "chromium"),
  fn: () =>
    withPages(async (browser, base) => {
      const { page } = await watchedPage(browser, base, { javaScriptEnabled: false });
      await page.goto("/");
      await page.fill("#search", "web");
      await page.getByRole("button", { name: "Find" }).click();
      await page.getByRole("link", { name: "default/web" }).click();
      await page.selectOption("#from", "outside");
      await page.getByRole("button", { name: "Show" }).click();
      assert.match(page.url(), /from=outside/);
      assert.match(await text(page, ".verdict"), /outside/);
    }),
});
