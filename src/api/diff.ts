/**
 * `GET /api/v1/diff`: what the node has otherwise than it should.
 *
 * @module
 */

import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import type { Difference } from "../dataplane/dataplane.ts";
import { ApiError, errorResponse } from "./errors.ts";
import type { DriftWatch } from "./events/drift_watch.ts";
import { DisagreementView } from "./explanation.ts";
import { frontendKind, protocol } from "./schemas.ts";
import type { ApiState } from "./state.ts";
import { verify } from "./witness/verify.ts";
import type { Witnesses } from "./witness/witnesses.ts";
import { messageOf } from "../errors.ts";

const DiffQuery = z.strictObject({
  verify: z.enum(["true", "false"], { error: "expected true or false" }).default("false").openapi({
    description: "also ask the engine and the rules about every frontend, from pods, the node, " +
      "its loopback, outside, the Service's own endpoint and an admitted source",
  }),
  rules: z.enum(["synced", "node"], { error: "expected synced or node" }).optional().openapi({
    description: "the rules that verify asks; what the node has this moment where it has rules",
  }),
  cursor: z.string().max(400).optional().openapi({
    description: "next of the verification before, to go on behind it",
  }),
});

const DifferenceView = z.object({
  where: z.string().openapi({ example: "IPv4 nat KUBE-SERVICES" }),
  problem: z.enum(["missing", "unexpected", "changed"]),
  found: z.array(z.string()).readonly(),
  expected: z.array(z.string()).readonly(),
}).openapi("Difference");

const Dispute = z.object({
  packet: z.object({ source: z.string(), dest: z.string(), port: z.int(), protocol }),
  from: z.enum(["pod", "node", "outside", "loopback", "backend", "admitted"]),
  service: z.string(),
  frontend: frontendKind,
  disagreements: z.array(DisagreementView).readonly(),
}).openapi("Dispute");

const Diff = z.object({
  mode: z.enum(["iptables", "ipvs", "nftables", "userspace"]),
  differences: z.array(DifferenceView).readonly().nullable().openapi({
    description: "the node against the last sync; null: this node is not programmed",
  }),
  verification: z.object({
    rules: z.enum(["synced", "node", "plan"]).openapi({
      description: "what the engine was compared with",
    }),
    asked: z.int().openapi({ description: "packets" }),
    disputes: z.array(Dispute).readonly(),
    known: z.int().openapi({
      description: "packets about which they disagree as is known of the mode: no disputes",
    }),
    next: z.string().nullable().openapi({
      description: "cursor to go on with; null: that was all",
    }),
    stable: z.boolean().openapi({
      description: "the plan was the same all the while; if not, ask again",
    }),
  }).nullable(),
}).openapi("Diff");

/** What the node has otherwise than it should. */
export type DiffView = z.infer<typeof Diff>;

/** What is answered. */
export type DiffAnswer = z.infer<typeof Diff>;

const route = createRoute({
  method: "get",
  path: "/api/v1/diff",
  summary: "What the node has otherwise than it should, and where engine and rules do not agree",
  request: { query: DiffQuery },
  responses: {
    200: { description: "the differences", content: { "application/json": { schema: Diff } } },
    400: errorResponse("the request is of another shape"),
    409: errorResponse("rules=node, and this node is not programmed"),
    429: errorResponse("another verification is under way"),
    422: errorResponse("the rules let a packet go too many ways"),
    503: errorResponse("the node cannot be read"),
  },
});

/** Adds the route. */
export function addDiff(
  app: OpenAPIHono,
  state: ApiState,
  witnesses: Witnesses,
  drift: DriftWatch,
): void {
  const read = shared(() => readDifferences(state));
  let verifying = false;
  app.openapi(route, async (context) => {
    const { verify: wanted, rules, cursor = null } = context.req.valid("query");
    if (wanted === "true" && verifying) {
      context.header("Retry-After", "5");
      throw new ApiError(429, "busy", "another verification is under way; try again after it");
    }
    verifying ||= wanted === "true";
    try {
      const differences = await read();
      if (differences !== null) drift.found(differences);
      if (wanted === "false") {
        return context.json({ mode: state.mode, differences, verification: null }, 200);
      }
      const rulesOf = rules ?? (hasRules(state) ? "node" : "synced");
      const verification = {
        rules: witnesses.second === "plan" ? "plan" as const : rulesOf,
        ...await verify(state, witnesses, rulesOf, cursor),
      };
      return context.json({ mode: state.mode, differences, verification }, 200);
    } finally {
      if (wanted === "true") verifying = false;
    }
  });
}

/** Whether the node's rules are at hand as they are this moment. */
function hasRules({ node }: ApiState): boolean {
  return node.iptables !== undefined || node.nftables !== undefined;
}

/** Whoever asks while an answer is under way gets that one. */
function shared<T>(ask: () => Promise<T>): () => Promise<T> {
  let underWay: Promise<T> | null = null;
  return () => underWay ??= ask().finally(() => underWay = null);
}

async function readDifferences({ node }: ApiState): Promise<readonly Difference[] | null> {
  if (node.differences === undefined) return null;
  try {
    return await node.differences();
  } catch (error) {
    const why = messageOf(error);
    throw new ApiError(503, "node_unreadable", `the node cannot be read: ${why}`);
  }
}
