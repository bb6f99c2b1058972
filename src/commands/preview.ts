/**
 * `preview`: what objects to apply or delete would change, by manifests or on a running server.
 *
 * @module
 */

import { offlineState } from "../agent/offline.ts";
import type { PreviewAnswer } from "../api/preview.ts";
import { type CommandLine, parseCommandLine } from "../config/config.ts";
import { configureLogging } from "../config/logging.ts";
import { UsageError } from "../config/usage.ts";
import { type ApiCaller, askJson, callServer, callState } from "./api_caller.ts";
import { tellAsked } from "./asked.ts";
import { refuseSharedInput } from "./input.ts";
import { complainLines, failingWithTwo, printLines, printText } from "./io.ts";
import { formatPreview, wouldChange } from "./preview_text.ts";
import { namedDeletion, readObjects, type WantedObjects } from "./wanted_objects.ts";

/**
 * Prints what would change; resolves with the exit status: 0 when nothing would, 1 when something
 * would, 2 when that cannot be told, or not of everything that was asked about.
 */
export async function preview(args: readonly string[]): Promise<number> {
  const line = parseCommandLine(args, "preview", Deno.hostname);
  if (tellAsked(line, "preview")) return 0;
  checkUsage(line);
  configureLogging(line.config.logging);
  return await failingWithTwo(() => forecast(line));
}

async function forecast(line: CommandLine): Promise<number> {
  const { config, ask } = line;
  const deletions = ask.delete.map(namedDeletion);
  const wanted = await readObjects(ask.apply);
  const { caller, problems } = await openCaller(line);
  try {
    const answer = await askPreview(caller, line, wanted, deletions);
    const left = [...problems, ...answer.problems];
    if (config.output === "json") printLines(JSON.stringify(answer, null, 2));
    else printText(formatPreview(answer, ask.server !== null));
    complainLines(...left);
    if (left.length > 0) return 2;
    return wouldChange(answer) ? 1 : 0;
  } finally {
    caller.close();
  }
}

function checkUsage({ config, ask, positionals, rest }: CommandLine): void {
  const unexpected = positionals[0] ?? rest?.[0];
  if (unexpected !== undefined) {
    throw new UsageError(
      `unexpected argument ${JSON.stringify(unexpected)}: expected --apply before each file`,
    );
  }
  if ((config.manifests === null) === (ask.server === null)) {
    throw new UsageError("expected either --manifests or --server");
  }
  if (ask.apply.length + ask.delete.length === 0) {
    throw new UsageError("expected --apply FILE or --delete KIND/NAMESPACE/NAME, or several");
  }
  const applied = ask.apply.filter((path) => path === "-");
  if (applied.length > 1) throw new UsageError("--apply: standard input can only be read once");
  refuseSharedInput({ "--manifests": config.manifests, "--apply": applied[0] ?? null });
}

async function openCaller(
  { config, ask }: CommandLine,
): Promise<{ readonly caller: ApiCaller; readonly problems: readonly string[] }> {
  if (ask.server !== null) {
    return { caller: await callServer(ask.server, config.apiTokenFile), problems: [] };
  }
  const { state, problems } = await offlineState(config, config.proxyMode ?? "iptables");
  return { caller: callState(state), problems };
}

/** In the API's words, but for where objects come from. */
async function askPreview(
  caller: ApiCaller,
  { config: { proxyMode } }: CommandLine,
  { objects, named }: WantedObjects,
  deletions: readonly unknown[],
): Promise<PreviewAnswer> {
  const query = proxyMode === null ? "" : `?mode=${proxyMode}`;
  try {
    const answer = await askJson<PreviewAnswer>(caller, `/api/v1/preview${query}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ objects, delete: deletions }),
    });
    return { ...answer, problems: await Promise.all(answer.problems.map(named)) };
  } catch (error) {
    throw error instanceof UsageError ? new UsageError(await named(error.message)) : error;
  }
}
