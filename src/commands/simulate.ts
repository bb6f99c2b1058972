/**
 * `simulate`: how schedulers would do under a workload, here or on a running server.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { parse } from "yaml";
import { offlineState } from "../agent/offline.ts";
import { fieldPath } from "../api/errors.ts";
import { parseCommandLine } from "../config/config.ts";
import { unknownFlag } from "../config/flags.ts";
import { UsageError } from "../config/usage.ts";
import { server as serverValue } from "../config/values.ts";
import { messageOf } from "../errors.ts";
import { chartOutcomes } from "../simulate/chart.ts";
import type { Outcome } from "../simulate/outcome.ts";
import { SimulationError, simulationOf, SimulationRequest } from "../simulate/request.ts";
import { simulate as simulateOne } from "../simulate/simulate.ts";
import { formatOutcomes } from "../simulate/text.ts";
import { type ApiCaller, askJson, callServer, callState } from "./api_caller.ts";
import { inputName, readInput, refuseSharedInput } from "./input.ts";
import { complainLines, printLines, printText } from "./io.ts";
import { SIMULATE_FLAGS, SIMULATE_HELP } from "./simulate_flags.ts";

const OUTPUTS = ["text", "json", "svg"] as const;
type Output = typeof OUTPUTS[number];

/** What was asked for on the command line. */
interface Asked {
  readonly file: string | null;
  readonly output: Output;
  readonly manifests: string | null;
  /** "": none. */
  readonly nodeName: string;
  readonly server: URL | null;
  readonly tokenFile: string | null;
  /** Fields that replace the file's. */
  readonly instead: Readonly<Record<string, unknown>>;
}

/** Prints the outcomes; resolves with the exit status: 2 when some of the manifests is left out. */
export async function simulate(args: readonly string[]): Promise<number> {
  const asked = askedFor(args);
  if (asked === null) {
    printLines(...SIMULATE_HELP);
    return 0;
  }
  const { file, manifests, nodeName, server, tokenFile } = asked;
  const input = file === null ? {} : await fileOf(file);
  const request = { ...input, ...asked.instead };
  if (server !== null) {
    await simulateThere(await callServer(server, tokenFile), request, asked);
  } else if (manifests !== null) {
    const line = ["--manifests", manifests, "--hostname-override", nodeName];
    const { config } = parseCommandLine(line, "replay", () => "localhost");
    const { state, problems } = await offlineState(config, "userspace");
    await simulateThere(callState(state), request, asked);
    complainLines(...problems);
    return problems.length > 0 ? 2 : 0;
  } else {
    printOutcomes(simulateHere(request, file), asked.output);
  }
  return 0;
}

function askedFor(args: readonly string[]): Asked | null {
  const { values, positionals } = understandArgs(args);
  if (values.help) return null;
  if (positionals.length > 1) {
    throw new UsageError(
      `unexpected argument ${JSON.stringify(positionals[1])}: expected one file`,
    );
  }
  const output = OUTPUTS.find((known) => known === values.output);
  if (output === undefined) {
    throw new UsageError(
      `--output ${JSON.stringify(values.output)}: expected text, json or svg`,
    );
  }
  const number = (flag: "nodes" | "seed") => {
    const text = values[flag];
    if (text === undefined) return {};
    if (/^[0-9]{1,10}$/.test(text)) return { [flag]: Number(text) };
    throw new UsageError(`--${flag} ${JSON.stringify(text)}: expected a whole number`);
  };
  const { manifests = null, server, service } = values;
  if (manifests !== null && server !== undefined) {
    throw new UsageError("expected --manifests or --server, not both");
  }
  const file = positionals[0] ?? null;
  refuseSharedInput({ "--manifests": manifests, "the workload": file });
  return {
    file,
    output,
    manifests,
    nodeName: values["hostname-override"] ?? "",
    server: server === undefined ? null : serverOf(server),
    tokenFile: values["api-token-file"] ?? null,
    instead: {
      ...(values.scheduler === undefined ? {} : { schedulers: values.scheduler }),
      ...(service === undefined ? {} : { service }),
      ...number("nodes"),
      ...number("seed"),
    },
  };
}

function understandArgs(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { help: { type: "boolean", short: "h" }, ...SIMULATE_FLAGS },
    });
  } catch (error) {
    const message = messageOf(error);
    const unknown = message.match(/^Unknown option '([^']*)'/)?.[1];
    throw unknown === undefined
      ? new UsageError(message)
      : unknownFlag(unknown, "simulate", Object.keys(SIMULATE_FLAGS));
  }
}

function serverOf(text: string): URL {
  const { data: url, error } = serverValue.safeParse(text);
  if (error === undefined) return url;
  throw new UsageError(`--server ${JSON.stringify(text)}: ${error.issues[0].message}`);
}

async function fileOf(path: string): Promise<object> {
  const text = await readInput("simulate", path);
  let value: unknown;
  try {
    value = parse(text);
  } catch (error) {
    throw new UsageError(`${inputName(path)}: ${messageOf(error).split("\n")[0]}`);
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  throw new UsageError(`${inputName(path)}: expected an object`);
}

function simulateHere(input: unknown, file: string | null): Outcome[] {
  const where = file === null ? "" : `${inputName(file)}: `;
  const { data: request, error } = SimulationRequest.safeParse(input);
  if (error !== undefined) {
    const [{ path, message }] = error.issues;
    const field = fieldPath(path);
    throw new UsageError(`${where}${field === "" ? "" : `${field}: `}${message}`);
  }
  if (request.service !== undefined) {
    throw new UsageError(`${where}service: expected --manifests or --server, which know it`);
  }
  try {
    const { workload, schedulings } = simulationOf(request);
    return schedulings.map((scheduling) => simulateOne(workload, scheduling));
  } catch (error) {
    if (error instanceof SimulationError) throw new UsageError(where + error.message);
    throw error;
  }
}

async function simulateThere(caller: ApiCaller, request: unknown, asked: Asked): Promise<void> {
  try {
    const { outcomes } = await askJson<{ outcomes: Outcome[] }>(caller, "/api/v1/simulate", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(request),
    });
    printOutcomes(outcomes, asked.output);
  } catch (error) {
    if (!(error instanceof UsageError) || asked.file === null) throw error;
    throw new UsageError(`${inputName(asked.file)}: ${error.message}`);
  } finally {
    caller.close();
  }
}

function printOutcomes(outcomes: readonly Outcome[], output: Output): void {
  if (output === "text") printText(formatOutcomes(outcomes));
  else if (output === "svg") printText(chartOutcomes(outcomes));
  else printLines(JSON.stringify({ outcomes }, null, 2));
}
