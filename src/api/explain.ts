/**
 * `GET` and `POST /api/v1/explain`: where one packet goes and why, by two witnesses.
 *
 * @module
 */

import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import type { Context, TypedResponse } from "hono";
import type { PacketQuery as Packet } from "../engine/handle.ts";
import { familyOf, parseAddress } from "../net/address.ts";
import { jsonBody } from "./body.ts";
import { ApiError, errorResponse } from "./errors.ts";
import { Explanation, explanation, withLines } from "./explanation.ts";
import { commonHeaders } from "./identify.ts";
import { historyId, notKept } from "./history.ts";
import { type QueryReader, readQuery } from "./query.ts";
import {
  address,
  MAX_ADDRESS,
  packetName,
  PacketQuery,
  protocol,
  sameFamily,
  sameFamilyError,
} from "./schemas.ts";
import type { ApiState } from "./state.ts";
import { witnessesOfThen } from "./witness/past.ts";
import type { RulesOf, Witnesses } from "./witness/witnesses.ts";
import { WordedAnswers } from "./witness/worded.ts";

/** Where it is asked; its answers carry the headers of all answers themselves. */
export const EXPLAIN_PATH = "/api/v1/explain";

/** Longest body, bytes. */
const MAX_BODY_BYTES = 1 << 16;

const rulesOf = z.enum(["synced", "node"], { error: "expected synced or node" }).default("synced")
  .openapi({
    description:
      "which rules are asked in iptables, ipvs and nftables mode: those of the last sync, or what " +
      "the node has this moment; userspace mode has none and asks the plan",
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
  "Asked of the packet engine and of the rules, or of the plan where a mode has none (userspace). " +
  "Changes nothing.";

const getRoute = createRoute({
  method: "get",
  path: EXPLAIN_PATH,
  summary: "Where a packet goes, and why",
  description,
  request: { query: ExplainQuery },
  responses,
});

const postRoute = createRoute({
  method: "post",
  path: EXPLAIN_PATH,
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
    503: errorResponse(
      "rules=node, and the node's rules cannot be read; or bodies take all memory",
    ),
  },
});

/** Adds both routes; the handler of GET. */
export function addExplain(
  app: OpenAPIHono,
  state: ApiState,
  witnesses: Witnesses,
  bodyTimeoutMs: number,
): (context: Context) => Response | Promise<Response> {
  const worded = new WordedAnswers(witnesses, {
    write: (said) => JSON.stringify(explanation(witnesses, said)),
    withLines,
  });
  const answer = (context: Context, question: Asked): Answer | Promise<Answer> => {
    const say = (text: string) => jsonText(context, withName(question.name, text));
    const text = isPlain(question)
      ? worded.about(question.packet)
      : explanationOf(state, witnesses, question);
    return text instanceof Promise ? text.then(say) : say(text);
  };
  const get = (context: Context) => answer(context, readQuery(context, QUESTION));
  app.openAPIRegistry.registerPath(getRoute);
  app.get(getRoute.path, get);
  app.post(postRoute.path, jsonBody({ maxBytes: MAX_BODY_BYTES, maxMs: bodyTimeoutMs }));
  app.openapi(postRoute, (context) => {
    const { name, ...packet } = context.req.valid("json");
    return answer(context, { name, packet, ...context.req.valid("query") });
  });
  return get;
}

/** A question: about which packet, and which state; by default, that of now. */
interface Asked {
  readonly packet: Packet;
  readonly name?: string;
  readonly rules: RulesOf;
  readonly asOf?: number;
}

/** Whether it is what is asked most. */
function isPlain({ packet, rules, asOf }: Asked): boolean {
  return asOf === undefined && rules === "synced" && packet.sourcePort === undefined;
}

async function explanationOf(
  state: ApiState,
  witnesses: Witnesses,
  { packet, rules, asOf }: Asked,
): Promise<string> {
  const asked = asOf === undefined ? witnesses : await witnessesAsOf(state, packet, rules, asOf);
  return JSON.stringify({ ...explanation(asked, await asked.ask(packet, rules)), asOf });
}

const QUESTION: QueryReader<typeof ExplainQuery, Asked> = {
  schema: ExplainQuery,
  of: ({ name, rules, asOf, ...packet }) => ({ packet, name, rules, asOf }),
  plain(query) {
    const { source: from, dest: to, port: digits, protocol } = query;
    if (Object.keys(query).length !== 4 || from === undefined || to === undefined) return null;
    if (protocol !== "TCP" && protocol !== "UDP" && protocol !== "SCTP") return null;
    if (!/^[1-9][0-9]{0,4}$/.test(digits)) return null;
    const port = Number(digits);
    if (port > 65_535 || Math.max(from.length, to.length) > MAX_ADDRESS) return null;
    const source = parseAddress(from);
    const dest = parseAddress(to);
    if (source === null || dest === null || familyOf(source) !== familyOf(dest)) return null;
    return { packet: { source, dest, port, protocol }, rules: "synced" };
  },
};

/** Adds what the packet is called to the text of an object that is not empty. */
function withName(name: string | undefined, text: string): string {
  return name === undefined ? text : `{"name":${JSON.stringify(name)},${text.slice(1)}`;
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

type Answer = Response & TypedResponse<z.input<typeof Explanation>, 200, "json">;

/** The answer, whose text has the shape of an explanation. */
function jsonText(context: Context, text: string): Answer {
  // The framework's way through an object of headers takes longer than all the rest of the answer.
  const headers = commonHeaders(context);
  headers["content-type"] = "application/json";
  return new Response(text, { headers }) as Answer;
}
