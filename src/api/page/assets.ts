/**
 * The files that pages need, all from this process: styles, icon, and htmx from its package.
 *
 * @module
 */

import type { OpenAPIHono } from "@hono/zod-openapi";
import { tagged } from "../tagged.ts";
import htmx from "htmx.org/dist/htmx.min.js" with { type: "text" };
import sse from "htmx.org/dist/ext/hx-sse.min.js" with { type: "text" };
import icon from "./assets/icon.svg" with { type: "text" };
import live from "./assets/live.js" with { type: "text" };
import style from "./assets/style.css" with { type: "text" };

const ASSETS: Readonly<Record<string, { readonly type: string; readonly text: string }>> = {
  // In one file: htmx begins as soon as it is there, and must find its extension and its listeners.
  "/assets/page.js": {
    type: "text/javascript; charset=utf-8",
    text: [live, htmx, sse].join("\n;\n"),
  },
  "/assets/style.css": { type: "text/css; charset=utf-8", text: style },
  "/assets/icon.svg": { type: "image/svg+xml", text: icon },
};

/** Where assets are. */
export const ASSET_PATHS: ReadonlySet<string> = new Set(Object.keys(ASSETS));

/** Adds their routes. */
export function addAssets(app: OpenAPIHono): void {
  for (const [path, { type, text }] of Object.entries(ASSETS)) {
    app.use(path, ...tagged());
    app.get(path, (context) => context.body(text, 200, { "Content-Type": type }));
  }
}
