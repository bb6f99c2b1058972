/**
 * What can go wrong between this node and an API server, in one form.
 *
 * @module
 */

import { z } from "zod";
import { messageOf as wholeMessageOf } from "../../errors.ts";

/** meta/v1 Status, as far as it is read. */
const statusSchema = z.object({
  code: z.number().optional(),
  reason: z.string().optional(),
  message: z.string().optional(),
  details: z.object({
    retryAfterSeconds: z.number().optional(),
    causes: z.array(z.object({ reason: z.string().optional() })).optional(),
  }).optional(),
});

/** What is known of a failure beyond its message. */
export interface FailureDetails {
  /** HTTP status, or the code of a Status in a watch; absent when no answer came. */
  readonly status?: number;
  readonly reason?: string;
  readonly retryAfterMs?: number;
  /** The server does not know the resourceVersion yet that was asked for. */
  readonly versionTooLarge?: boolean;
}

/** A request that did not succeed, or a stream that broke. Everything else is a mistake of ours. */
export class ApiFailure extends Error {
  override readonly name = "ApiFailure";
  readonly details: FailureDetails;

  /** @param message one line: what was wrong; where is added by who reports it. */
  constructor(message: string, details: FailureDetails = {}) {
    super(oneLine(message));
    this.details = details;
  }

  /** The resourceVersion or continue token is older than what the server remembers. */
  get expired(): boolean {
    const { status, reason } = this.details;
    return status === 410 || reason === "Expired" || reason === "Gone";
  }
}

/** The failure that a Status object tells of, be it an HTTP answer's body or an ERROR event. */
export function failureFromStatus(body: unknown, answer: FailureDetails = {}): ApiFailure {
  const parsed = statusSchema.safeParse(body);
  const status = parsed.success ? parsed.data : {};
  const code = answer.status ?? status.code;
  const reason = status.reason ?? "";
  const seconds = status.details?.retryAfterSeconds;
  const tooLarge = status.details?.causes?.some((one) => one.reason === "ResourceVersionTooLarge");
  const message = [code === undefined ? "" : `status ${code}`, reason, status.message ?? ""]
    .filter((part) => part !== "").join(": ");
  return new ApiFailure(message === "" ? "an error without a word" : message, {
    status: code,
    reason,
    retryAfterMs: answer.retryAfterMs ?? (seconds === undefined ? undefined : seconds * 1000),
    versionTooLarge: tooLarge === true ||
      (status.message ?? "").includes("Too large resource version"),
  });
}

/** The Retry-After header in milliseconds: seconds only, as the API server sends it. */
export function retryAfterMs(headers: Headers): number | undefined {
  const value = headers.get("retry-after");
  return value !== null && /^\d{1,9}$/.test(value) ? Number(value) * 1000 : undefined;
}

/** A text without line breaks and control characters, shortened. */
function oneLine(text: string): string {
  // deno-lint-ignore no-control-regex
  const line = text.replace(/[\s\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, " ").trim();
  return line.length > 300 ? `${line.slice(0, 300)}…` : line;
}

/** The message of anything that was thrown, in one line. */
export function messageOf(error: unknown): string {
  return oneLine(wholeMessageOf(error));
}
