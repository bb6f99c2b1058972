/**
 * `GET /api/v1/node`: the node that this proxy is for, how it does, and what is wrong with the input.
 *
 * @module
 */

import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { formatProblem } from "../cluster/source.ts";
import { FAMILIES } from "../net/address.ts";
import { sampleSources } from "./witness/questions.ts";
import type { ApiState } from "./state.ts";

/** Problems of one answer. */
const MOST_PROBLEMS = 100;

const Sources = z.object({
  pod: z.string().optional(),
  node: z.string().optional(),
  outside: z.string().optional(),
}).openapi("Sources");

export const NodeView = z.object({
  name: z.string(),
  version: z.string(),
  mode: z.enum(["iptables", "ipvs", "nftables", "userspace"]),
  programming: z.boolean().openapi({
    description: "whether this node's traffic is forwarded, or only queries are answered",
  }),
  families: z.array(z.enum(["IPv4", "IPv6"])).readonly(),
  addresses: z.array(z.string()).readonly(),
  podNetworks: z.array(z.string()).readonly(),
  services: z.int(),
  healthy: z.boolean().openapi({ description: "whether changes reach the node in time" }),
  lastUpdated: z.iso.datetime().openapi({
    description: "now when healthy, else when the node was last in step",
  }),
  sources: z.object({ IPv4: Sources, IPv6: Sources }).openapi({
    description: "an address of each class of source, to ask about packets from there",
  }),
  problems: z.array(z.string()).readonly().openapi({
    description: `what is wrong with the input, the first ${MOST_PROBLEMS}`,
  }),
  problemsTotal: z.int(),
}).openapi("Node");

const route = createRoute({
  method: "get",
  path: "/api/v1/node",
  summary: "The node, its mode and health, and problems of the input",
  responses: {
    200: { description: "the node", content: { "application/json": { schema: NodeView } } },
  },
});

/** Adds the route. */
export function addNode(app: OpenAPIHono, state: ApiState, version: string): void {
  app.openapi(route, (context) => {
    const { mode, programming, families } = state;
    const { node, services } = state.plan();
    const { healthy, lastUpdated } = state.health();
    const problems = state.problems();
    const [IPv4, IPv6] = FAMILIES.map((family) => sampleSources(node, family));
    return context.json({
      name: node.name,
      version,
      mode,
      programming,
      families,
      addresses: node.addresses,
      podNetworks: node.podNetworks,
      services: services.size,
      healthy,
      lastUpdated: new Date(lastUpdated).toISOString(),
      sources: { IPv4, IPv6 },
      problems: problems.slice(0, MOST_PROBLEMS).map(formatProblem),
      problemsTotal: problems.length,
    }, 200);
  });
}
