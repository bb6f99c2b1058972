/**
 * `explain`: where packets go and why, from manifests or from the rules of any node.
 *
 * @module
 */

import { type CommandLine, givenAddresses, parseCommandLine } from "../config/config.ts";
import { configureLogging } from "../config/logging.ts";
import { UsageError } from "../config/usage.ts";
import type { Flow } from "../explain/answer.ts";
import { FlowError, parseFlows, parseFlowWords } from "../explain/flows.ts";
import { formatAnswers } from "../explain/text.ts";
import { askJson, callServer } from "./api_caller.ts";
import { type ExplainedFlow, formatDisputes } from "./engine_witness.ts";
import { checkDumpFlags, dumpFlags, rulesDump } from "./dumps.ts";
import { byBoth, byManifests, byNodeRules } from "./explainers.ts";
import { tellAsked } from "./asked.ts";
import { inputName, readInput, refuseSharedInput } from "./input.ts";
import { complainLines, printLines, printText } from "./io.ts";

/** Prints the answers; resolves with the exit status: 2 when some of the input is left out. */
export async function explain(args: readonly string[]): Promise<number> {
  const line = parseCommandLine(args, "explain", Deno.hostname);
  if (tellAsked(line, "explain")) return 0;
  checkUsage(line);
  const { config, explain: input, ask } = line;
  configureLogging(config.logging);
  const flows = input.flows === null ? [flowOf(line)] : await flowsOf(input.flows);
  if (ask.server !== null) return await explainThere(line, ask.server, flows);
  const dump = rulesDump(input);
  const addresses = givenAddresses(config);
  const { answer, problems } = dump === null
    ? await byManifests(config)
    : config.manifests === null
    ? await byNodeRules(input, addresses)
    : await byBoth(config, dump.mode, input);
  if (config.manifests === null && addresses.length === 0) {
    complainLines("without --node-ip, only loopback addresses are taken for the node's own");
  }
  print(line, flows, await answer(flows));
  complainLines(...problems);
  return problems.length > 0 ? 2 : 0;
}

/** By a running agent. */
async function explainThere(
  line: CommandLine,
  server: URL,
  flows: readonly Flow[],
): Promise<number> {
  const { asOf, rules } = line.ask;
  const query = new URLSearchParams({
    ...(asOf === null ? {} : { asOf: String(asOf) }),
    ...(rules === null ? {} : { rules }),
  });
  const caller = await callServer(server, line.config.apiTokenFile);
  const path = `/api/v1/explain?${query}`;
  try {
    const answers: ExplainedFlow[] = [];
    for (const flow of flows) {
      answers.push(
        await askJson<ExplainedFlow>(caller, path, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify(asPacket(flow)),
        }),
      );
    }
    print(line, flows, answers);
    return 0;
  } finally {
    caller.close();
  }
}

/** Of packets that are no first ones the API does not know, and says so. */
function asPacket({ state = "NEW", ...packet }: Flow): unknown {
  return state === "NEW" ? packet : { ...packet, state };
}

function print(
  { config, explain }: CommandLine,
  flows: readonly Flow[],
  answers: readonly ExplainedFlow[],
): void {
  if (config.output === "text") {
    printText(formatAnswers(flows, answers) + formatDisputes(answers));
  } else printLines(JSON.stringify(explain.flows === null ? answers[0] : answers, null, 2));
}

function checkUsage({ config, explain, ask, positionals, rest }: CommandLine): void {
  const { manifests, proxyMode } = config;
  const { flows } = explain;
  const dump = rulesDump(explain);
  if (ask.server !== null && (manifests !== null || dump !== null)) {
    const flag = dump?.mode === "nftables" ? "--nft-list" : "--iptables-save";
    throw new UsageError(`--server: expected neither --manifests nor ${flag} with it`);
  }
  if (ask.server === null && manifests === null && dump === null) {
    throw new UsageError(
      "expected --manifests, a node's rules (--iptables-save, --nft-list), or both",
    );
  }
  if (ask.asOf !== null && ask.server === null) {
    throw new UsageError(`--as-of "${ask.asOf}": expected --server too, which has the history`);
  }
  if (ask.rules !== null && ask.server === null) {
    throw new UsageError(`--rules "${ask.rules}": expected --server too`);
  }
  if (dump !== null && proxyMode !== null && proxyMode !== dump.mode) {
    const { mode, flag } = dump;
    throw new UsageError(`--proxy-mode "${proxyMode}": expected ${mode}, or none, with ${flag}`);
  }
  checkDumpFlags(explain);
  const unexpected = positionals[flows === null ? 2 : 0] ?? rest?.[0];
  if (unexpected !== undefined) {
    const expected = flows === null ? "SOURCE DEST:PORT/PROTOCOL" : "only flags with --flows";
    throw new UsageError(`unexpected argument ${JSON.stringify(unexpected)}: expected ${expected}`);
  }
  if (flows === null && positionals.length < 2) {
    throw new UsageError("expected --flows FILE, or SOURCE DEST:PORT/PROTOCOL");
  }
  refuseSharedInput({
    "--manifests": manifests,
    ...dumpFlags(explain),
    "--flows": flows,
  });
}

/** The flow in the command line's words. */
function flowOf({ positionals: [source, target] }: CommandLine): Flow {
  return understand(() => parseFlowWords(source, target));
}

async function flowsOf(path: string): Promise<Flow[]> {
  const text = await readInput("--flows", path);
  return understand(() => parseFlows(text, `--flows: ${inputName(path)}`));
}

function understand<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (error instanceof FlowError) throw new UsageError(error.message);
    throw error;
  }
}
