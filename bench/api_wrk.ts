/**
 * Load on an HTTP server by wrk, from another process on one thread.
 *
 * @module
 */

import type { NetworkNamespace } from "../src/linux/namespace.ts";

/** What is sent, again and again. */
export interface Load {
  readonly port: number;
  /** A path to GET or, with a body, to POST to. */
  readonly path?: string;
  readonly body?: { readonly file: string; readonly type: string };
  /** Lua for wrk's `request` function, when requests differ. */
  readonly request?: string;
  readonly connections: number;
  readonly seconds: number;
}

/** What it was like. */
export interface LoadResult {
  /** Requests that were answered in a second. */
  readonly rate: number;
  /** Bytes of one answer, head included. */
  readonly bytes: number;
}

/** Whether wrk can be had. */
export async function hasWrk(): Promise<boolean> {
  try {
    await new Deno.Command("wrk", { args: ["-v"], stdout: "null", stderr: "null" }).output();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Sends load from within a namespace. Rejects when any answer is no success. */
export async function applyLoad(
  namespace: NetworkNamespace,
  folder: string,
  load: Load,
): Promise<LoadResult> {
  const script = `${folder}/load-${crypto.randomUUID()}.lua`;
  await Deno.writeTextFile(script, luaOf(load));
  const child = namespace.run(() =>
    new Deno.Command("wrk", {
      args: [
        "-t1",
        `-c${load.connections}`,
        `-d${Math.ceil(load.seconds)}s`,
        "--timeout",
        "10s",
        "-s",
        script,
        `http://127.0.0.1:${load.port}${load.path ?? "/"}`,
      ],
      stdout: "piped",
      stderr: "piped",
    }).spawn()
  );
  const { success, stdout, stderr } = await child.output();
  const text = new TextDecoder().decode(stdout);
  if (!success) throw new Error(`wrk: ${new TextDecoder().decode(stderr).trim()}`);
  return resultOf(text);
}

function luaOf({ body, request }: Load): string {
  const parts = [REPORT];
  if (body !== undefined) {
    parts.push(
      `local file = io.open(${JSON.stringify(body.file)}, "rb")`,
      `wrk.method, wrk.body = "POST", file:read("*a")`,
      "file:close()",
      `wrk.headers["Content-Type"] = ${JSON.stringify(body.type)}`,
    );
  }
  if (request !== undefined) parts.push(request);
  return parts.join("\n") + "\n";
}

/** Prints what is read of wrk: its own numbers are rounded. */
const REPORT = `done = function(summary)
  io.write(string.format("result %d %d %d %d %d\\n", summary.requests, summary.duration,
    summary.bytes, summary.errors.status, summary.errors.timeout + summary.errors.read))
end`;

function resultOf(text: string): LoadResult {
  const found = /^result (\d+) (\d+) (\d+) (\d+) (\d+)$/m.exec(text);
  if (found === null) throw new Error(`wrk said nothing of its result: ${text}`);
  const [requests, micros, bytes, wrong, broken] = found.slice(1).map(Number);
  if (wrong + broken > 0) throw new Error(`wrk: ${wrong} answers no success, ${broken} broken`);
  return { rate: requests / micros * 1e6, bytes: bytes / requests };
}
