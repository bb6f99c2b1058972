/**
 * The API as the page asks it: the same requests that anyone may send, without the network.
 *
 * @module
 */

import type { z } from "@hono/zod-openapi";
import type { ErrorBody } from "../errors.ts";

/** What was wrong with a request. */
export type ProblemView = z.infer<typeof ErrorBody>["error"];

/** An answer: what was asked for, or why it cannot be had. */
export type Reply<T> =
  | { readonly ok: true; readonly body: T }
  | { readonly ok: false; readonly status: number; readonly problem: ProblemView };

/** Asks the API. */
export class ApiClient {
  constructor(private readonly send: (path: string) => Promise<Response>) {}

  /** GETs a path; `T` is the shape that the document gives its answer. */
  async get<T>(path: string): Promise<Reply<T>> {
    const response = await this.send(path);
    const body = await response.json();
    return response.ok
      ? { ok: true, body }
      : { ok: false, status: response.status, problem: body.error };
  }
}

/** A path with a query; what is empty or undefined is left out. */
export function withQuery(
  path: string,
  query: Readonly<Record<string, string | number | undefined>>,
): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== "");
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return text === "" ? path : `${path}?${text}`;
}

/** A path of the API or the page with names as its last segments. */
export function pathTo(prefix: string, ...names: readonly string[]): string {
  return [prefix, ...names.map(encodeURIComponent)].join("/");
}
