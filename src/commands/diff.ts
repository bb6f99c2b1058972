/**
 * `diff`: what a node has otherwise than it should, from manifests and its rules, or from a running
 * server.
 *
 * @module
 */

import { offlineState, type SavedRules } from "../agent/offline.ts";
import type { DiffAnswer } from "../api/diff.ts";
import { type CommandLine, parseCommandLine } from "../config/config.ts";
import { configureLogging } from "../config/logging.ts";
import { UsageError } from "../config/usage.ts";
import { VERSION } from "../config/version.ts";
import { NodeRulesAccess } from "../dataplane/iptables/apply.ts";
import { findPrograms, ProgramRunner } from "../dataplane/iptables/programs.ts";
import { parseSave, SaveTextError } from "../dataplane/iptables/save_text.ts";
import { splitFamilies } from "../explain/iptables/explain.ts";
import { FAMILIES } from "../net/address.ts";
import { type ApiCaller, askJson, callServer, callState } from "./api_caller.ts";
import { formatDiff } from "./diff_text.ts";
import { commandHelp } from "./help.ts";
import { inputName, readInput, refuseSharedInput } from "./input.ts";
import { complainLines, printLines, printText } from "./io.ts";

/**
 * Prints the differences; resolves with the exit status: 1 when there are some, 2 when some of the
 * input is left out.
 */
export async function diff(args: readonly string[]): Promise<number> {
  const line = parseCommandLine(args, "diff", Deno.hostname);
  if (line.asked !== null) {
    printLines(line.asked === "help" ? commandHelp("diff") : `switchyard ${VERSION}`);
    return 0;
  }
  checkUsage(line);
  const { config, ask } = line;
  configureLogging(config.logging);
  const { caller, problems } = await openCaller(line);
  try {
    const answer = await askAll(caller, ask.verify);
    if (config.output === "text") printText(formatDiff(answer));
    else printLines(JSON.stringify(answer, null, 2));
    complainLines(...problems);
    if (problems.length > 0) return 2;
    const { differences, verification } = answer;
    return (differences ?? []).length + (verification?.disputes.length ?? 0) > 0 ? 1 : 0;
  } finally {
    caller.close();
  }
}

function checkUsage({ config, explain, ask, positionals, rest }: CommandLine): void {
  const unexpected = positionals[0] ?? rest?.[0];
  if (unexpected !== undefined) {
    throw new UsageError(`unexpected argument ${JSON.stringify(unexpected)}: expected only flags`);
  }
  const { manifests, proxyMode } = config;
  const { iptablesSave } = explain;
  const node = [iptablesSave !== null, ask.thisNode, ask.server !== null];
  if (node.filter((given) => given).length !== 1) {
    throw new UsageError("expected one of --iptables-save, --this-node and --server");
  }
  if ((manifests === null) !== (ask.server !== null)) {
    throw new UsageError("expected either --manifests or --server");
  }
  if (proxyMode !== null && proxyMode !== "iptables") {
    throw new UsageError(`--proxy-mode "${proxyMode}": expected iptables, or none`);
  }
  refuseSharedInput({ "--manifests": manifests, "--iptables-save": iptablesSave });
}

async function openCaller(
  { config, explain, ask, given }: CommandLine,
): Promise<{ caller: ApiCaller; problems: readonly string[] }> {
  if (ask.server !== null) {
    return { caller: await callServer(ask.server, config.apiTokenFile), problems: [] };
  }
  const text = explain.iptablesSave === null
    ? await rulesOfThisNode()
    : await rulesOfFile(explain.iptablesSave);
  const missing = config.families.filter((family) => text[family] === null);
  if (missing.length === config.families.length) {
    throw new UsageError("--iptables-save: there are no rules in it");
  }
  complainLines(...missing.map((family) => `without rules of ${family}, these are not compared`));
  const fixedNaming = given.has("iptables-chain-naming");
  const { state, problems } = await offlineState(config, "iptables", { text, fixedNaming });
  return { caller: callState(state), problems };
}

async function rulesOfFile(path: string): Promise<SavedRules["text"]> {
  const saved = splitFamilies(await readInput("--iptables-save", path));
  for (const text of Object.values(saved)) {
    if (text !== null) understand(path, text);
  }
  return saved;
}

/** @throws {UsageError} when a text is not what iptables-save prints. */
function understand(path: string, text: string): void {
  try {
    parseSave(text);
  } catch (error) {
    if (!(error instanceof SaveTextError)) throw error;
    throw new UsageError(`--iptables-save: ${inputName(path)}: ${error.message}`);
  }
}

/** Rejects with one line when this node's rules cannot be read. */
async function rulesOfThisNode(): Promise<SavedRules["text"]> {
  const runner = new ProgramRunner();
  const access = new NodeRulesAccess(runner, await findPrograms(runner));
  const [IPv4, IPv6] = await Promise.all(
    FAMILIES.map((family) => access.read(family).catch(() => null)),
  );
  if (IPv4 === null && IPv6 === null) await access.read("IPv4");
  return { IPv4, IPv6 };
}

/** The whole answer, however many requests the verification takes. */
async function askAll(caller: ApiCaller, verify: boolean): Promise<DiffAnswer> {
  const first = await askJson<DiffAnswer>(caller, `/api/v1/diff?verify=${verify}`);
  let { verification } = first;
  while (verification?.next != null) {
    const cursor = encodeURIComponent(verification.next);
    const path = `/api/v1/diff?verify=true&cursor=${cursor}`;
    const more = (await askJson<DiffAnswer>(caller, path)).verification!;
    verification = {
      ...more,
      asked: verification.asked + more.asked,
      known: verification.known + more.known,
      disputes: [...verification.disputes, ...more.disputes],
      stable: verification.stable && more.stable,
    };
  }
  return { ...first, verification };
}
