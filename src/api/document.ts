/**
 * `GET /openapi.json`: what the API is, for programs.
 *
 * @module
 */

import type { OpenAPIHono } from "@hono/zod-openapi";

/** Adds the route. The document is made when it is first asked for, and kept. */
export function addDocument(app: OpenAPIHono, version: string): void {
  let text: string | null = null;
  app.get("/openapi.json", (context) => {
    text ??= JSON.stringify(app.getOpenAPI31Document({
      openapi: "3.1.0",
      info: {
        title: "Switchyard",
        version,
        description: "Which backend a packet goes to, and why.",
      },
    }));
    return context.body(text, 200, { "Content-Type": "application/json" });
  });
}
