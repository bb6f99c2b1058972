/**
 * `/proxyMode`: the mode in plain text, which network plugins ask kube-proxy for.
 *
 * @module
 */

import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import type { ApiState } from "./state.ts";

const route = createRoute({
  method: "get",
  path: "/proxyMode",
  summary: "The proxy mode",
  responses: {
    200: {
      description: "the mode, without a line end",
      content: {
        "text/plain": { schema: z.enum(["iptables", "ipvs", "nftables", "userspace"]) },
      },
    },
  },
});

/** Adds the route. */
export function addProxyMode(app: OpenAPIHono, state: ApiState): void {
  app.openapi(route, (context) => {
    context.header("Content-Type", "text/plain; charset=utf-8");
    return context.body(state.mode, 200) as never;
  });
}
