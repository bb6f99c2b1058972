/** A headless Chromium that looks at the pages, and tells of everything that goes wrong in it. */

import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { PATIENCE_MS } from "../../until.ts";

/** A page, and what went wrong on it so far. */
export interface Watched {
  readonly page: Page;
  readonly troubles: readonly string[];
}

/** Where the program is; the test that needs it has asked before whether it is there. */
function executable(): string {
  const folders = (Deno.env.get("PATH") ?? "").split(":");
  const paths = folders.map((folder) => `${folder || "."}/chromium`);
  return paths.find((path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      return false;
    }
  })!;
}

/** A name for 127.0.0.1 that browsers trust no more than any other address that is reached by HTTP. */
export const NODE_NAME = "node.example";

/** Runs a test with a browser of its own. */
export async function withBrowser(test: (browser: Browser) => Promise<void>): Promise<void> {
  const browser = await chromium.launch({
    executablePath: executable(),
    args: [
      "--no-sandbox",
      "--disable-dev-shm-usage",
      `--host-resolver-rules=MAP ${NODE_NAME} 127.0.0.1`,
    ],
    timeout: 3 * PATIENCE_MS,
  });
  try {
    await test(browser);
  } finally {
    await browser.close();
  }
}

/**
 * A new page of a new context. Messages of the console that are no mere notes, uncaught errors,
 * violations of the Content-Security-Policy and requests to anywhere but `base` are troubles.
 */
export async function watchedPage(
  browser: Browser,
  base: string,
  options: BrowserContextOptions = {},
): Promise<Watched> {
  const context = await browser.newContext({ baseURL: base, ...options });
  context.setDefaultTimeout(2 * PATIENCE_MS);
  const page = await context.newPage();
  const troubles: string[] = [];
  await page.exposeFunction("tellTrouble", (text: string) => troubles.push(text));
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      const { tellTrouble } = globalThis as unknown as { tellTrouble(text: string): void };
      tellTrouble(`violates ${event.violatedDirective}: ${event.blockedURI}`);
    });
  });
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) troubles.push(message.text());
  });
  page.on("pageerror", (error) => troubles.push(error.message));
  page.on("dialog", (dialog) => {
    troubles.push(`dialog: ${dialog.message()}`);
    dialog.dismiss().catch(() => {});
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(`${base}/`)) troubles.push(`asked for ${request.url()}`);
  });
  return { page, troubles };
}
