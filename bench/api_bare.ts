/**
 * Bare Hono routes, which answer the same bytes always: what the API's rates are compared with. As a
 * program of its own it is the load on another process that the syncs under load are compared with.
 *
 * @module
 */

import { Hono } from "hono";
import { serve } from "../src/api/server.ts";
import { linesOf } from "./sync_lines.ts";

/** GET /bare and POST /bare, which reads its body. */
export function bareServer() {
  let text = "{}";
  let bytes = new Uint8Array();
  const app = new Hono();
  app.get("/bare", (context) => context.body(text, 200, { "content-type": "application/json" }));
  app.post("/bare", async (context) => {
    await context.req.arrayBuffer();
    return context.body(bytes);
  });
  const server = serve({ host: "127.0.0.1", port: 0 }, app.fetch);
  return {
    server,
    /** So many bytes of JSON or of anything. */
    size(length: number) {
      text = JSON.stringify("x".repeat(Math.max(0, length - 2)));
      bytes = new Uint8Array(length);
    },
  };
}

/** The first line of the program; it ends with its input. */
export interface BareListening {
  readonly port: number;
}

if (import.meta.main) {
  const { server, size } = bareServer();
  size(4096);
  const line: BareListening = { port: server.address.port };
  await Deno.stdout.write(new TextEncoder().encode(JSON.stringify(line) + "\n"));
  for await (const _ of linesOf(Deno.stdin.readable));
  await server.stop();
}
