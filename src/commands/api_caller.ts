/**
 * Asks the rule-query API: that of a running agent, over TCP or a Unix socket, or one of this very
 * process over a state that is made from files.
 *
 * @module
 */

import { queryApp } from "../api/app.ts";
import { Metrics } from "../api/metrics.ts";
import type { ApiState } from "../api/state.ts";
import { UsageError } from "../config/usage.ts";
import { VERSION } from "../config/version.ts";
import { messageOf } from "../errors.ts";
import { readInput } from "./input.ts";

/** An API that can be asked. */
export interface ApiCaller {
  /** Of a path as in "/api/v1/services". Rejects with one line when nobody answers. */
  request(path: string, init?: RequestInit): Promise<Response>;
  close(): void;
}

/** Answers that say that the input was wrong. */
const REFUSALS: readonly number[] = [400, 404, 409, 413, 415, 422];

/** The API of a running agent. @throws {UsageError} when the token or the socket cannot be used. */
export async function callServer(server: URL, tokenFile: string | null): Promise<ApiCaller> {
  const token = tokenFile === null ? null : (await readInput("--api-token-file", tokenFile)).trim();
  const client = server.protocol === "unix:" ? socketClient(server) : undefined;
  const base = client === undefined ? server : new URL("http://localhost");
  return {
    async request(path, init = {}) {
      const headers = new Headers(init.headers);
      if (token !== null) headers.set("authorization", `Bearer ${token}`);
      try {
        return await fetch(new URL(path, base), { ...init, headers, client });
      } catch (error) {
        const cause = error instanceof Error ? error.cause : undefined;
        throw new Error(`${server}: nobody answers: ${messageOf(cause ?? error)}`);
      }
    },
    close: () => client?.close(),
  };
}

/** Connects to a Unix socket instead of an address. */
function socketClient(server: URL): Deno.HttpClient {
  const path = decodeURIComponent(server.pathname);
  try {
    return Deno.createHttpClient({ proxy: { transport: "unix", path } });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotCapable)) throw error;
    throw new UsageError(`--server ${server}: this process may not connect there`);
  }
}

/** An API over a state, in this process. */
export function callState(state: ApiState): ApiCaller {
  const app = queryApp(state, new Metrics(state.families, VERSION), {
    version: VERSION,
    token: null,
  });
  return {
    request: async (path, init) => await app.request(path, init, { trusted: true }),
    close() {},
  };
}

/**
 * The JSON that a path is answered with. Rejects with the API's own words when it refuses; as a
 * UsageError when what was asked for is wrong.
 */
export async function askJson<T>(caller: ApiCaller, path: string, init?: RequestInit): Promise<T> {
  const response = await caller.request(path, init);
  const text = await response.text();
  if (response.ok) return JSON.parse(text);
  const message = refusalOf(text) ?? `the server answered with status ${response.status}`;
  throw REFUSALS.includes(response.status) ? new UsageError(message) : new Error(message);
}

/** The API's own words; null when somebody else answered. */
function refusalOf(text: string): string | null {
  try {
    const message = JSON.parse(text).error.message;
    return typeof message === "string" ? message : null;
  } catch {
    return null;
  }
}
