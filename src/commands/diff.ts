/**
 * `diff`: what a node has otherwise than it should, from manifests and what its programs print, on
 * the node itself, or from a running server.
 *
 * @module
 */

import { offlineState } from "../agent/offline.ts";
import { checkMode } from "../agent/mode.ts";
import type { DiffAnswer } from "../api/diff.ts";
import { type CommandLine, parseCommandLine } from "../config/config.ts";
import { configureLogging } from "../config/logging.ts";
import { UsageError } from "../config/usage.ts";
import { type ApiCaller, askJson, callServer, callState } from "./api_caller.ts";
import { formatDiff } from "./diff_text.ts";
import { checkDumpFlags, dumpFlags, rulesDump } from "./dumps.ts";
import { nodeOfFiles, thisNode } from "./given_nodes.ts";
import { tellAsked } from "./asked.ts";
import { refuseSharedInput } from "./input.ts";
import { complainLines, failingWithTwo, printLines, printText } from "./io.ts";

/**
 * Prints the differences; resolves with the exit status: 0 without differences, 1 with some, 2 when
 * they cannot be told, or not all of them because some of the input is left out.
 */
export async function diff(args: readonly string[]): Promise<number> {
  const line = parseCommandLine(args, "diff", Deno.hostname);
  if (tellAsked(line, "diff")) return 0;
  checkUsage(line);
  configureLogging(line.config.logging);
  return await failingWithTwo(() => compare(line));
}

async function compare(line: CommandLine): Promise<number> {
  const { config, ask } = line;
  const { caller, problems, rules } = await openCaller(line);
  try {
    const answer = await askAll(caller, ask.verify, rules);
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
  const { iptablesSave, nftList } = explain;
  const node = [iptablesSave !== null || nftList !== null, ask.thisNode, ask.server !== null];
  if (node.filter((given) => given).length !== 1) {
    throw new UsageError("expected one of --iptables-save, --nft-list, --this-node and --server");
  }
  if ((manifests === null) !== (ask.server !== null)) {
    throw new UsageError("expected either --manifests or --server");
  }
  if (ask.server !== null && proxyMode !== null) {
    throw new UsageError(`--proxy-mode "${proxyMode}": expected none with --server, whose it is`);
  }
  if (ask.server === null && ask.rules !== null) {
    throw new UsageError(`--rules "${ask.rules}": expected --server too`);
  }
  checkFiles(proxyMode, explain);
  if (proxyMode !== null) checkMode(config, proxyMode);
  refuseSharedInput({
    "--manifests": manifests,
    ...dumpFlags(explain),
  });
}

/** What has to be known of a node depends on its mode. */
function checkFiles(
  mode: CommandLine["config"]["proxyMode"],
  explain: CommandLine["explain"],
): void {
  checkDumpFlags(explain);
  const dump = rulesDump(explain);
  if (dump === null) return;
  const { ipsetSave, ipvsadmSave } = explain;
  const servers = { "--ipset-save": ipsetSave, "--ipvsadm-save": ipvsadmSave };
  const given = Object.entries(servers).filter(([, path]) => path !== null);
  if (mode === "userspace") {
    throw new UsageError(
      `--proxy-mode "userspace": its routes and policy rules are in no such file; ` +
        "expected --this-node, on the node itself, or --server",
    );
  }
  for (const [flag, path] of given) {
    if (mode !== null && mode !== "ipvs") {
      throw new UsageError(`--proxy-mode "${mode}": expected ipvs, or none, with ${flag}`);
    }
    if (given.length === 2) continue;
    const other = Object.keys(servers).find((one) => one !== flag);
    throw new UsageError(`${flag} ${JSON.stringify(path)}: expected ${other} too`);
  }
  if (mode === null || mode === dump.mode) return;
  if (mode === "ipvs" && dump.mode === "iptables") {
    throw new UsageError('--proxy-mode "ipvs": expected --ipset-save and --ipvsadm-save too');
  }
  throw new UsageError(
    `--proxy-mode "${mode}": expected ${dump.mode}, or none, with ${dump.flag}`,
  );
}

/** Who answers, what of the input is left out, and which rules are to be verified. */
async function openCaller({ config, explain, ask, given }: CommandLine): Promise<{
  readonly caller: ApiCaller;
  readonly problems: readonly string[];
  readonly rules: CommandLine["ask"]["rules"];
}> {
  if (ask.server !== null) {
    const caller = await callServer(ask.server, config.apiTokenFile);
    return { caller, problems: [], rules: ask.rules };
  }
  const fixedNaming = given.has("iptables-chain-naming");
  const compared = rulesDump(explain) === null
    ? await thisNode(config, fixedNaming)
    : await nodeOfFiles(config, explain, fixedNaming);
  const { mode, notes, close } = compared;
  try {
    complainLines(...notes);
    const { state, problems } = await offlineState(config, mode, compared);
    const caller = callState(state);
    return { caller: { ...caller, close }, problems, rules: mode === "userspace" ? null : "node" };
  } catch (error) {
    close();
    throw error;
  }
}

/** The whole answer, however many requests the verification takes. */
async function askAll(
  caller: ApiCaller,
  verify: boolean,
  rules: CommandLine["ask"]["rules"],
): Promise<DiffAnswer> {
  const base = `/api/v1/diff?verify=${verify}${rules === null ? "" : `&rules=${rules}`}`;
  const first = await askJson<DiffAnswer>(caller, base);
  let { verification } = first;
  while (verification?.next != null) {
    const cursor = encodeURIComponent(verification.next);
    const more = (await askJson<DiffAnswer>(caller, `${base}&cursor=${cursor}`)).verification!;
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
