/**
 * `simulate`: how schedulers would do under a workload, here or on a running server.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { parse } from "yaml";
import { fieldPath } from "../api/errors.ts";
import { UsageError } from "../config/usage.ts";
import { messageOf } from "../errors.ts";
import { chartOutcomes } from "../simulate/chart.ts";
import type { Outcome } from "../simulate/outcome.ts";
import { SimulationError, simulationOf, SimulationRequest } from "../simulate/request.ts";
import { simulate as simulateOne } from "../simulate/simulate.ts";
import { formatOutcomes } from "../simulate/text.ts";
import { inputName, readInput } from "./input.ts";
import { printLines, printText } from "./io.ts";

const OUTPUTS = ["text", "json", "svg"] as const;
type Output = typeof OUTPUTS[number];

const HELP = [
  "Usage: simulate [FILE|-] [flags]",
  "",
  "Lets schedulers choose backends for the connections of a workload, and says how evenly the load is",
  "spread and what events (backends that go, come, are drained) do. The schedulers are the engine's",
  "own. FILE is the body of POST /api/v1/simulate, as JSON or YAML; without it the defaults are taken:",
  "500 connections a second to 10 backends for a minute.",
  "",
  "Flags:",
  "  --scheduler NAME       instead of the file's; may be repeated",
  "  --nodes N              instead of the file's",
  "  --seed N               instead of the file's; the same one gives the same outcome",
  "  --output text|json|svg (default text)",
  "  --server URL           asks the API of a running switchyard, as in http://127.0.0.1:10247, where",
  '                         "service: NAMESPACE/NAME" in the file stands for a Service\'s backends',
  "  --token-file FILE      the API's bearer token",
];

/** What was asked for on the command line. */
interface Asked {
  readonly file: string | null;
  readonly output: Output;
  readonly server: URL | null;
  readonly tokenFile: string | null;
  /** Fields that replace the file's. */
  readonly instead: Readonly<Record<string, unknown>>;
}

/** Prints the outcomes; resolves with the exit status. */
export async function simulate(args: readonly string[]): Promise<number> {
  const asked = askedFor(args);
  if (asked === null) {
    printLines(...HELP);
    return 0;
  }
  const { file, output, server } = asked;
  const input = file === null ? {} : await fileOf(file);
  const request = { ...input, ...asked.instead };
  if (server === null) printOutcomes(simulateHere(request, file), output);
  else await simulateThere(server, request, asked);
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
  return {
    file: positionals[0] ?? null,
    output,
    server: values.server === undefined ? null : serverOf(values.server),
    tokenFile: values["token-file"] ?? null,
    instead: {
      ...(values.scheduler === undefined ? {} : { schedulers: values.scheduler }),
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
      options: {
        help: { type: "boolean", short: "h" },
        scheduler: { type: "string", multiple: true },
        nodes: { type: "string" },
        seed: { type: "string" },
        output: { type: "string", default: "text" },
        server: { type: "string" },
        "token-file": { type: "string" },
      },
    });
  } catch (error) {
    throw new UsageError(messageOf(error));
  }
}

function serverOf(text: string): URL {
  const url = URL.parse(text);
  if (url !== null && /^https?:$/.test(url.protocol)) return url;
  throw new UsageError(
    `--server ${JSON.stringify(text)}: expected a URL, as in http://127.0.0.1:10247`,
  );
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
    throw new UsageError(`${where}service: expected --server, which knows its backends`);
  }
  try {
    const { workload, schedulings } = simulationOf(request);
    return schedulings.map((scheduling) => simulateOne(workload, scheduling));
  } catch (error) {
    if (error instanceof SimulationError) throw new UsageError(where + error.message);
    throw error;
  }
}

async function simulateThere(server: URL, request: unknown, asked: Asked): Promise<void> {
  const { output, tokenFile } = asked;
  const url = new URL("/api/v1/simulate", server);
  if (output === "svg") url.searchParams.set("format", "svg");
  const token = tokenFile === null ? null : (await readInput("--token-file", tokenFile)).trim();
  const response = await fetch(url, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify(request),
  });
  const text = await response.text();
  if (!response.ok) throw refusal(url, response.status, text);
  if (output === "svg") printText(text);
  else printOutcomes(JSON.parse(text).outcomes, output);
}

/** What a server said no to: wrong input, or something else. */
function refusal(url: URL, status: number, text: string): Error {
  let said = `status ${status}`;
  try {
    said = JSON.parse(text).error.message;
  } catch {
    // Somebody else than our API answers there: the status is all that is known.
  }
  const message = `${url.origin}: ${said}`;
  return [400, 413, 422].includes(status) ? new UsageError(message) : new Error(message);
}

function printOutcomes(outcomes: readonly Outcome[], output: Output): void {
  if (output === "text") printText(formatOutcomes(outcomes));
  else if (output === "svg") printText(chartOutcomes(outcomes));
  else printLines(JSON.stringify({ outcomes }, null, 2));
}
