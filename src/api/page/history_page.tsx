/**
 * What changed, when and why.
 *
 * @module
 */

import type { OpenAPIHono } from "@hono/zod-openapi";
import type { ApiClient } from "./client.ts";
import type { Show } from "./pages.tsx";
import { Notice, Problem } from "./parts.tsx";

/** Adds the routes. */
export function addHistory(app: OpenAPIHono, api: ApiClient, show: Show): void {
  app.get("/history", async (context) => {
    const reply = await api.get<unknown>("/api/v1/history");
    const children = (
      <>
        <h1>What changed?</h1>
        {reply.ok ? <Notice tone="plain" title="History" /> : <Problem problem={reply.problem} />}
      </>
    );
    return show(context, { title: "History", section: "/history", children });
  });
}
