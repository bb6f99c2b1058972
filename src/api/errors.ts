/**
 * Errors of the HTTP API: always `{error: {code, message, field}}`, never a stack.
 *
 * @module
 */

import { z } from "@hono/zod-openapi";
import { getLogger } from "@logtape/logtape";
import type { Context, ErrorHandler, NotFoundHandler } from "hono";
import { HTTPException } from "hono/http-exception";
import type { RouterRoute } from "hono/types";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { setCommonHeaders } from "./identify.ts";

const logger = getLogger(["switchyard", "api"]);

/** The body of every answer that is no success. */
export const ErrorBody = z.object({
  error: z.object({
    code: z.string().openapi({ description: "for programs", example: "invalid_request" }),
    message: z.string().openapi({ description: "what was wrong and what was expected" }),
    field: z.string().nullable().openapi({
      description: "path of the field that was wrong",
      example: "packets[0].port",
    }),
  }),
}).openapi("Error");

/** An answer that is no success. */
export class ApiError extends Error {
  override readonly name = "ApiError";

  constructor(
    readonly status: ContentfulStatusCode,
    readonly code: string,
    message: string,
    readonly field: string | null = null,
  ) {
    super(message);
  }
}

/** For `responses` of a route. */
export function errorResponse(description: string) {
  return { description, content: { "application/json": { schema: ErrorBody } } };
}

/** For `responses` of a route whose answers can be large. */
export const largeAnswers = {
  503: errorResponse("others have not read their large answers yet"),
};

function answer(context: Context, error: ApiError): Response {
  const { code, message, field } = error;
  setCommonHeaders(context);
  return context.json({ error: { code, message, field } }, error.status);
}

const CODES: Readonly<Record<number, string>> = {
  400: "bad_request",
  401: "unauthorized",
  404: "not_found",
  405: "method_not_allowed",
  413: "too_large",
  415: "unsupported_media_type",
};

/** Turns whatever a handler threw into an answer; what was not foreseen is logged, not shown. */
export const onError: ErrorHandler = (error, context) => {
  if (error instanceof ApiError) return answer(context, error);
  if (error instanceof HTTPException && error.status < 500) {
    const message = error.status === 415
      ? "expected the content type application/json"
      : error.message;
    return answer(context, new ApiError(error.status, CODES[error.status] ?? "error", message));
  }
  logger.error("request {id}: {method} {path}: {error}", {
    id: context.get("requestId"),
    method: context.req.method,
    path: context.req.path,
    error: error.stack ?? String(error),
  });
  return answer(context, new ApiError(500, "internal", "internal error; the log says more"));
};

/** A path that exists with other methods is answered with 405, all others with 404. */
export function notFound(app: { readonly routes: readonly RouterRoute[] }): NotFoundHandler {
  return (context) => {
    const { path, method } = context.req;
    const methods = new Set<string>();
    for (const route of app.routes) {
      if (route.method !== "ALL" && pathMatches(route.path, path)) methods.add(route.method);
    }
    if (methods.size === 0) {
      return answer(context, new ApiError(404, "not_found", `there is no ${path}`));
    }
    if (methods.has("GET")) methods.add("HEAD");
    const allowed = [...methods].sort().join(", ");
    context.header("Allow", allowed);
    const message = `${path} does not take ${method}; expected ${allowed}`;
    return answer(context, new ApiError(405, "method_not_allowed", message));
  };
}

/** Whether a route's path, with `:name` for any one segment, is this path. */
function pathMatches(route: string, path: string): boolean {
  const pattern = route.split("/");
  const segments = path.split("/");
  return pattern.length === segments.length &&
    pattern.every((part, i) => part.startsWith(":") ? segments[i] !== "" : part === segments[i]);
}

/** The path of a field as in "packets[0].port". */
export function fieldPath(path: readonly PropertyKey[]): string {
  return path.map((part) => typeof part === "number" ? `[${part}]` : `.${String(part)}`).join("")
    .replace(/^\./, "");
}

/** Answers for a request of wrong shape: names the first field that is wrong. */
export function invalidRequest(error: z.ZodError, target: string): ApiError {
  const tooLong = error.issues.find((issue) =>
    issue.code === "too_big" && issue.origin === "array" && issue.path.length === 1
  );
  const issue = tooLong ?? error.issues[0];
  const unknownKey = issue.code === "unrecognized_keys" ? issue.keys[0] : null;
  const field = fieldPath(unknownKey === null ? issue.path : [...issue.path, unknownKey]);
  const where = target === "json" ? "body" : target;
  const message = unknownKey === null ? issue.message : "expected no such field";
  const full = `${field === "" ? where : field}: ${message}`;
  if (tooLong !== undefined) return new ApiError(413, "batch_too_long", full, field);
  return new ApiError(400, "invalid_request", full, field === "" ? null : field);
}
