/**
 * `POST /api/v1/lookup` in records of fixed size, for those who ask about millions of packets.
 *
 * @module
 */

import type { MiddlewareHandler } from "hono";
import type { EngineHandle, RecordAnswers } from "../engine/handle.ts";
import { ANSWER, findBadRecord, QUESTION } from "../engine/records.ts";
import { ApiError } from "./errors.ts";

/** The media type of both bodies. */
export const RECORDS_TYPE = "application/vnd.switchyard.lookup+octet-stream";

/** Questions that one request may have. */
export const MAX_RECORDS = 16_384;

/** Longest body, bytes. */
export const MAX_RECORDS_BYTES = MAX_RECORDS * QUESTION.size;

/** What the answer begins with: u32 number of records, u32 bytes of the names, 8 bytes of 0. */
const HEADER_BYTES = 16;

/** How the request's body is made, for the API's document. */
export const REQUEST_LAYOUT =
  `At most ${MAX_RECORDS} records of ${QUESTION.size} bytes; numbers are little endian, addresses ` +
  "16 bytes in network order, IPv4 as ::ffff:a.b.c.d. At byte 0 the source, at 16 the " +
  "destination, at 32 the source port (u16; 0: any), at 34 the port (u16), at 36 the protocol " +
  "(u8: 6 TCP, 17 UDP, 132 SCTP), then 3 bytes of 0.";

/** How the answer's body is made. */
export const ANSWER_LAYOUT =
  `${HEADER_BYTES} bytes: number of records (u32), length of the names (u32), 8 bytes of 0. Then ` +
  `as many records of ${ANSWER.size} bytes, in the order of the packets: at byte 0 the verdict ` +
  "(u8: 0 FORWARD, 1 REJECT, 2 DROP, 3 PASS), at 1 the reason (u8: 0 no frontend, 1 tracked " +
  "connection, 2 outside the source ranges, 3 no endpoints, 4 none on this node, 5 session " +
  "affinity, 6 scheduled, 7 no backend of weight above 0), at 2 the source's class (u8: 0 pod, 1 " +
  "node, 2 outside), at 3 the frontend (u8: 0 ClusterIP, 1 NodePort, 2 ExternalIP, 3 " +
  "LoadBalancer, 255 none), at 4 whether it is masqueraded (u8), at 6 the backend's port (u16), " +
  "at 8 the service port (u32: index of its name; 4294967295: none), at 16 the backend's address " +
  "(16 bytes, 0 when there is none). Then the names of service ports as UTF-8, each with a line " +
  "feed behind it.";

/** Answers bodies of {@link RECORDS_TYPE}, which must be there as a whole; hands others on. */
export function answerRecords(engine: Pick<EngineHandle, "lookupRecords">): MiddlewareHandler {
  return async (context, next) => {
    const type = context.req.header("content-type")?.split(";")[0].trim().toLowerCase();
    if (type !== RECORDS_TYPE) return await next();
    const questions = new Uint8Array(await context.req.arrayBuffer());
    check(questions);
    const answers = await engine.lookupRecords(questions);
    return context.body(bodyOf(answers), 200, { "Content-Type": RECORDS_TYPE });
  };
}

function check(questions: Uint8Array): void {
  if (questions.length % QUESTION.size !== 0) {
    const expected = `expected records of ${QUESTION.size} bytes`;
    throw new ApiError(400, "invalid_request", `body: ${questions.length} bytes: ${expected}`);
  }
  const bad = findBadRecord(questions);
  if (bad === null) return;
  const field = `records[${bad.index}].${bad.field}`;
  throw new ApiError(400, "invalid_request", `${field}: expected ${bad.expected}`, field);
}

/** The answers behind the header, and the names behind them. */
function bodyOf({ records, services }: RecordAnswers): Uint8Array<ArrayBuffer> {
  const names = new TextEncoder().encode(services.map((name) => `${name}\n`).join(""));
  const body = new Uint8Array(HEADER_BYTES + records.length + names.length);
  const header = new DataView(body.buffer);
  header.setUint32(0, records.length / ANSWER.size, true);
  header.setUint32(4, names.length, true);
  body.set(records, HEADER_BYTES);
  body.set(names, HEADER_BYTES + records.length);
  return body;
}
