/**
 * `GET` and `POST /api/v1/explain`: where one packet goes and why, by two witnesses.
 *
 * @module
 */

import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import type { PacketQuery as Packet } from "../engine/handle.ts";
import { jsonBody } from "./body.ts";
import { ApiError, errorResponse } from "./errors.ts";
import { historyId, notKept } from "./history.ts";
import { validQuery } from "./query.ts";
import {
  address,
  frontendKind,
  packetName,
  PacketQuery,
  probability,
  protocol,
  sameFamily,
  sameFamilyError,
  sourceClass,
  verdict,
} from "./schemas.ts";
import type { ApiState } from "./state.ts";
import { witnessesOfThen } from "./witness/past.ts";
import {
  engineAnswer,
  rulesAnswer,
  type RulesOf,
  type Testimony,
  type Witnesses,
} from "./witness/witnesses.ts";

/** Longest body, bytes. */
const MAX_BODY_BYTES = 1 << 16;

const rulesOf = z.enum(["synced", "node"], { error: "expected synced or node" }).default("synced")
  .openapi({
    description:
      "which rules are asked in iptables and ipvs mode: those of the last sync, or what the " +
      "node has this moment; other modes have none and ask the plan",
  });

const asOf = historyId.optional().openapi({
  description: "id of an entry of the history: asks the plan as it was behind it",
});

const PORT = { error: "expected a whole number from 1 to 65535" };

/** A port in a query string. */
const portText = z.string(PORT).regex(/^[0-9]{1,5}$/, PORT).transform(Number)
  .refine((value) => value >= 1 && value <= 65_535, PORT)
  .openapi({ type: "integer", minimum: 1, maximum: 65_535 });

const ExplainQuery = z.strictObject({
  name: packetName,
  source: address.openapi({ type: "string", example: "10.244.1.5" }),
  sourcePort: portText.optional().openapi({ description: "absent: any" }),
  dest: address.openapi({ type: "string", example: "10.0.1.175" }),
  port: portText.openapi({ example: 80 }),
  protocol,
  rules: rulesOf,
  asOf,
}).refine(sameFamily, sameFamilyError);

const Ends = z.object({ address: z.string(), port: z.int() });

const Backend = Ends.extend({ probability, masquerade: z.boolean() });

const Step = z.object({
  hook: z.string().nullable().openapi({ description: "netfilter's hook", example: "PREROUTING" }),
  table: z.string().nullable(),
  chain: z.string().nullable(),
  rule: z.int().nullable().openapi({ description: "number in its chain, from 1" }),
  line: z.int().nullable().openapi({ description: "line in the text of the rules, from 1" }),
  text: z.string(),
  action: z.string(),
}).openapi("Step");

const Outcome = z.object({
  verdict,
  backend: Ends.nullable(),
  masquerade: z.boolean(),
  probability,
  steps: z.array(z.int()).readonly().openapi({ description: "indexes into the answer's steps" }),
}).openapi("Outcome");

const UnknownRule = z.object({
  table: z.string(),
  chain: z.string(),
  rule: z.int().nullable(),
  line: z.int().nullable(),
  text: z.string(),
  reason: z.string(),
}).openapi("UnknownRule");

/** Something that the two witnesses say otherwise. */
export const DisagreementView = z.object({
  field: z.enum(["verdict", "service", "backends", "probability", "masquerade"]),
  engine: z.string(),
  rules: z.string().openapi({ description: "what the rules say, or the plan without rules" }),
  known: z.string().nullable().openapi({
    description: "why it has to be so in this mode; null: something is wrong",
  }),
}).openapi("Disagreement");

const Explanation = z.object({
  name: z.string().optional(),
  verdict,
  service: z.string().nullable().openapi({ example: "default/hostnames" }),
  backends: z.array(Backend).readonly(),
  masquerade: z.boolean().openapi({ description: "whichever backend it gets" }),
  steps: z.array(Step).readonly(),
  outcomes: z.array(Outcome).readonly().openapi({ description: "the distinct ends; together 1" }),
  unknown: z.array(UnknownRule).readonly().openapi({
    description: "rules that mattered and could not be decided",
  }),
  frontend: frontendKind.nullable(),
  sourceClass,
  answeredBy: z.enum(["engine", "rules"]).openapi({
    description: "the witness that forwards in this mode, whose word the answer is",
  }),
  witnesses: z.tuple([z.literal("engine"), z.enum(["rules", "plan"])]),
  engine: z.object({
    verdict,
    backend: Ends.nullable().openapi({ description: "the one that this packet would take now" }),
    reason: z.string(),
  }),
  asOf: z.int().optional().openapi({ description: "the entry of the history that was asked" }),
  disagreements: z.array(DisagreementView).readonly().openapi({
    description: "about a new connection; empty when both witnesses say the same",
  }),
}).openapi("Explanation");

/** The answer about one packet. */
export type ExplanationView = z.infer<typeof Explanation>;

const responses = {
  200: {
    description: "where the packet goes",
    content: { "application/json": { schema: Explanation } },
  },
  400: errorResponse("the request is of another shape"),
  404: errorResponse("asOf: the entry is not kept, or not there yet"),
  409: errorResponse("rules=node, and this node is not programmed"),
  422: errorResponse("the rules let the packet go too many ways"),
  503: errorResponse("rules=node, and the node's rules cannot be read"),
};

const description =
  "Asked of the packet engine and of the rules (iptables and ipvs mode) or the plan (all others). Changes " +
  "nothing.";

const getRoute = createRoute({
  method: "get",
  path: "/api/v1/explain",
  summary: "Where a packet goes, and why",
  description,
  request: { query: ExplainQuery },
  responses,
});

const postRoute = createRoute({
  method: "post",
  path: "/api/v1/explain",
  summary: "Where a packet goes, and why",
  description,
  request: {
    query: z.strictObject({ rules: rulesOf, asOf }),
    body: { required: true, content: { "application/json": { schema: PacketQuery } } },
  },
  responses: {
    ...responses,
    408: errorResponse("the body did not come in time"),
    413: errorResponse("the body is too long"),
    415: errorResponse("the body is not of type application/json"),
  },
});

/** Adds both routes. */
export function addExplain(
  app: OpenAPIHono,
  state: ApiState,
  witnesses: Witnesses,
  bodyTimeoutMs: number,
): void {
  const answer = async (name: string | undefined, packet: Packet, when: When) => {
    const asked = when.asOf === undefined
      ? witnesses
      : await witnessesAsOf(state, packet, when.rules, when.asOf);
    return explanation(asked, await asked.ask(packet, when.rules), name, when.asOf);
  };
  app.openAPIRegistry.registerPath(getRoute);
  app.get(getRoute.path, async (context) => {
    const { name, rules, asOf, ...packet } = validQuery(context, ExplainQuery);
    return context.json(await answer(name, packet, { rules, asOf }), 200);
  });
  app.post(postRoute.path, jsonBody({ maxBytes: MAX_BODY_BYTES, maxMs: bodyTimeoutMs }));
  app.openapi(postRoute, async (context) => {
    const { name, ...packet } = context.req.valid("json");
    return context.json(await answer(name, packet, context.req.valid("query")), 200);
  });
}

/** Which state is asked: by default, that of now. */
interface When {
  readonly rules: RulesOf;
  readonly asOf?: number;
}

async function witnessesAsOf(
  state: ApiState,
  packet: Packet,
  rules: RulesOf,
  asOf: number,
): Promise<Witnesses> {
  if (rules === "node") {
    throw new ApiError(400, "invalid_request", "asOf: expected none with rules=node", "asOf");
  }
  const { history } = state;
  const then = history.planAt(asOf);
  if (then === null) throw notKept(history.entries(), asOf, "asOf");
  return await witnessesOfThen(state, then, packet);
}

function explanation(
  witnesses: Witnesses,
  said: Testimony,
  name: string | undefined,
  asOf: number | undefined,
): z.input<typeof Explanation> {
  const { verdict, backend, reason, frontend, sourceClass } = said.engine;
  const answeredBy = witnesses.second === "rules" ? "rules" : "engine";
  const answer = answeredBy === "rules"
    ? rulesAnswer(said)
    : engineAnswer(said, witnesses.masqueradesAlways);
  return {
    ...(name === undefined ? {} : { name }),
    ...answer,
    frontend,
    sourceClass,
    answeredBy,
    witnesses: ["engine", witnesses.second],
    engine: { verdict, backend, reason },
    disagreements: said.disagreements,
    ...(asOf === undefined ? {} : { asOf }),
  };
}
