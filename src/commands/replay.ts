/**
 * `replay`: the packets of a capture through an engine, here or on a running server.
 *
 * @module
 */

import { offlineState } from "../agent/offline.ts";
import { type CommandLine, parseCommandLine } from "../config/config.ts";
import { configureLogging } from "../config/logging.ts";
import { UsageError } from "../config/usage.ts";
import type { ReplayReport } from "../replay/report.ts";
import { formatReport } from "../replay/text.ts";
import { type ApiCaller, askJson, callServer, callState } from "./api_caller.ts";
import { tellAsked } from "./asked.ts";
import { inputName, readInputBytes, refuseSharedInput } from "./input.ts";
import { complainLines, printLines, printText } from "./io.ts";

/** Prints the report; resolves with the exit status: 2 when some of the input is left out. */
export async function replay(args: readonly string[]): Promise<number> {
  const line = parseCommandLine(args, "replay", Deno.hostname);
  if (tellAsked(line, "replay")) return 0;
  const path = captureOf(line);
  const { config, ask: { limit, seed } } = line;
  configureLogging(config.logging);
  const file = await readInputBytes("replay", path);
  const { caller, problems } = await openCaller(line);
  try {
    const report = await askJson<ReplayReport>(
      caller,
      `/api/v1/replay?limit=${limit}&seed=${seed}`,
      {
        method: "POST",
        headers: { "content-type": "application/vnd.tcpdump.pcap" },
        body: file,
      },
    ).catch((error) => {
      throw error instanceof UsageError
        ? new UsageError(`${inputName(path)}: ${error.message}`)
        : error;
    });
    if (config.output === "text") printText(formatReport(report));
    else printLines(JSON.stringify(report, null, 2));
  } finally {
    caller.close();
  }
  complainLines(...problems);
  return problems.length > 0 ? 2 : 0;
}

/** The file on the command line. */
function captureOf({ config, ask, positionals, rest }: CommandLine): string {
  if ((config.manifests === null) === (ask.server === null)) {
    throw new UsageError("expected either --manifests or --server");
  }
  const unexpected = positionals[1] ?? rest?.[0];
  if (unexpected !== undefined) {
    throw new UsageError(`unexpected argument ${JSON.stringify(unexpected)}: expected one file`);
  }
  if (positionals.length === 0) throw new UsageError("expected a file, or - for standard input");
  const path = positionals[0] === "/dev/stdin" ? "-" : positionals[0];
  refuseSharedInput({ "--manifests": config.manifests, "the capture": path });
  return path;
}

async function openCaller(
  { config, ask }: CommandLine,
): Promise<{ caller: ApiCaller; problems: readonly string[] }> {
  if (ask.server !== null) {
    return { caller: await callServer(ask.server, config.apiTokenFile), problems: [] };
  }
  const { state, problems } = await offlineState(config, config.proxyMode ?? "userspace");
  return { caller: callState(state), problems };
}
