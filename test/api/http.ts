/** The rule-query API over real HTTP on loopback. */

import { type ApiOptions, queryApp } from "../../src/api/app.ts";
import { Metrics } from "../../src/api/metrics.ts";
import { serve } from "../../src/api/server.ts";
import type { ApiState } from "../../src/api/state.ts";
import { assertDescribed } from "./openapi_schema.ts";

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // deno-lint-ignore no-explicit-any -- tests look into answers of any shape
  readonly json: any;
}

/** Asks, and checks the answer against /openapi.json. */
export type Ask = (path: string, init?: RequestInit) => Promise<Reply>;

/** Serves a state for the time of a test. */
export async function withQueryApi(
  state: ApiState,
  test: (ask: Ask, base: string) => Promise<void>,
  options: Partial<ApiOptions> = {},
): Promise<void> {
  const metrics = new Metrics(["IPv4", "IPv6"], "1.2.3");
  const app = queryApp(state, metrics, { version: "1.2.3", token: null, ...options });
  const server = serve({ host: "127.0.0.1", port: 0 }, app.fetch);
  const base = `http://127.0.0.1:${server.address.port}`;
  try {
    const document = await (await app.request("/openapi.json", {}, { trusted: true })).json();
    await test(async (path, init) => {
      const response = await fetch(`${base}${path}`, init);
      const text = await response.text();
      const type = response.headers.get("content-type") ?? "";
      const json = type.startsWith("application/json") ? JSON.parse(text) : null;
      const template = templateOf(document, new URL(path, base).pathname);
      if (template !== null && text !== "" && response.status !== 405) {
        const method = (init?.method ?? "GET").toLowerCase();
        assertDescribed(document, template, method, response.status, type, json ?? text);
      }
      return { status: response.status, headers: response.headers, text, json };
    }, base);
  } finally {
    await server.stop();
  }
}

/** A request with a JSON body. */
export function post(value: unknown): RequestInit {
  return {
    method: "POST",
    body: JSON.stringify(value),
    headers: { "content-type": "application/json" },
  };
}

/** The path in the document that a path is an instance of. */
function templateOf(document: { paths: Record<string, unknown> }, path: string): string | null {
  const segments = path.split("/");
  const found = Object.keys(document.paths).find((template) => {
    const parts = template.split("/");
    return parts.length === segments.length &&
      parts.every((part, i) => part.startsWith("{") || part === segments[i]);
  });
  return found ?? null;
}
