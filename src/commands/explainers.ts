/**
 * What answers where packets go: the plan that manifests ask for, the rules that it would be
 * rendered to, or the rules of any node.
 *
 * @module
 */

import { offlineState } from "../agent/offline.ts";
import { ipvsOptions, nftablesOptions, ruleOptions } from "../agent/options.ts";
import type { Config, ExplainInput } from "../config/config.ts";
import type { ProxyMode, RenderProblem } from "../dataplane/dataplane.ts";
import { render } from "../dataplane/iptables/render.ts";
import { JUMPS } from "../dataplane/ipvs/jumps.ts";
import { render as renderIpvs } from "../dataplane/ipvs/render.ts";
import { parseRuleset } from "../dataplane/nftables/language/parse.ts";
import { render as renderNftables } from "../dataplane/nftables/render.ts";
import type { Answer, Flow } from "../explain/answer.ts";
import { explainByPlan } from "../explain/from_plan.ts";
import { explainFlows, parseNodeTables } from "../explain/iptables/explain.ts";
import { parseIpSets } from "../explain/netfilter/ipset.ts";
import { renderedTables } from "../explain/iptables/rendered.ts";
import { savedExplainer, servicePortNaming, stateExplainer } from "../explain/ipvs/explain.ts";
import { parseIpvsSave } from "../explain/ipvs/save_text.ts";
import { explainer as nftablesExplainer, tablesOf } from "../explain/nftables/explain.ts";
import { renderedTables as renderedNftables } from "../explain/nftables/rendered_source.ts";
import { FrontendIndex } from "../plan/frontend_index.ts";
import type { Plan } from "../plan/plan.ts";
import { readDump, type RulesDump } from "./dumps.ts";
import { engineWitness, type ExplainedFlow } from "./engine_witness.ts";

/** Answers flows, in their order. */
export interface Explainer {
  answer(flows: readonly Flow[]): Promise<readonly ExplainedFlow[]>;
  /** What of the input is not considered, one line each. */
  readonly problems: readonly string[];
}

/**
 * By manifests: in modes with rules by evaluating what would be programmed, else by the plan;
 * with what the engine says beside it.
 *
 * @throws {UsageError} when the manifests cannot be read, or the mode cannot be had.
 */
export async function byManifests(config: Config): Promise<Explainer> {
  const mode = config.proxyMode ?? "userspace";
  const { state, problems } = await offlineState(config, mode);
  const explainer = explainerOf(state.plan(), mode, config);
  const witness = engineWitness(state);
  return {
    answer: (flows) => witness(flows, explainer.answer(flows)),
    problems: [...problems, ...explainer.problems],
  };
}

/** What answers by itself. */
interface RulesExplainer {
  answer(flows: readonly Flow[]): Answer[];
  readonly problems: readonly string[];
}

function explainerOf(plan: Plan, mode: ProxyMode, config: Config): RulesExplainer {
  switch (mode) {
    case "iptables":
      return byIptablesRules(plan, config);
    case "ipvs":
      return byIpvsState(plan, config);
    case "nftables":
      return byNftablesRules(plan, config);
    case "userspace":
      return { answer: (flows) => explainByPlan(flows, plan), problems: [] };
  }
}

function byIptablesRules(plan: Plan, config: Config): RulesExplainer {
  const rendered = config.families.map((family) => render(plan, family, ruleOptions(config)));
  const tables = Object.fromEntries(
    rendered.map(({ rules }) => [rules.family, renderedTables(rules)]),
  );
  return {
    answer: (flows) => explainFlows(flows, { tables, nodeAddresses: plan.node.addresses }),
    problems: leftOut(rendered),
  };
}

function byIpvsState(plan: Plan, config: Config): RulesExplainer {
  const rendered = config.families.map((family) => renderIpvs(plan, family, ipvsOptions(config)));
  const node = {
    states: rendered.map(({ state }) => state),
    jumps: JUMPS,
    nodeAddresses: plan.node.addresses,
    used: false,
  };
  const ask = stateExplainer(node, servicePortNaming(new FrontendIndex(plan)));
  return { answer: (flows) => flows.map(ask), problems: leftOut(rendered) };
}

function byNftablesRules(plan: Plan, config: Config): RulesExplainer {
  const options = nftablesOptions(config);
  const rendered = config.families.map((family) => renderNftables(plan, family, options));
  const ask = nftablesExplainer({
    tables: renderedNftables(rendered.map(({ rules }) => rules)),
    nodeAddresses: plan.node.addresses,
  });
  return { answer: (flows) => flows.map(ask), problems: leftOut(rendered) };
}

function leftOut(rendered: readonly { readonly problems: readonly RenderProblem[] }[]): string[] {
  const lines = rendered.flatMap(({ problems }) =>
    problems.map(({ service, message }) => `render: Service ${service}: ${message}`)
  );
  return [...new Set(lines)];
}

/**
 * By the rules of a node, as {@link byNodeRules}, with what the engine says by manifests: what the
 * node does beside what it should do.
 *
 * @throws {UsageError} when the manifests or a dump cannot be read.
 */
export async function byBoth(
  config: Config,
  mode: RulesDump["mode"],
  input: ExplainInput,
): Promise<Explainer> {
  const { state, problems } = await offlineState(config, mode);
  const rules = await byNodeRules(input, state.plan().node.addresses);
  const witness = engineWitness(state);
  return { answer: async (flows) => witness(flows, await rules.answer(flows)), problems };
}

/**
 * By the rules of a node, as iptables-save or nft printed them, and its virtual servers where it has
 * some.
 *
 * @throws {UsageError} when a dump cannot be read, with its name and line.
 */
export async function byNodeRules(
  input: ExplainInput,
  nodeAddresses: readonly string[],
): Promise<Explainer> {
  const { iptablesSave, ipsetSave, ipvsadmSave, nftList } = input;
  if (nftList !== null) return await byNodeTables(nftList, nodeAddresses);
  const tables = await readDump("--iptables-save", iptablesSave!, parseNodeTables);
  const ipsets = ipsetSave === null
    ? undefined
    : await readDump("--ipset-save", ipsetSave, parseIpSets);
  if (ipvsadmSave === null) {
    return {
      answer: (flows) => Promise.resolve(explainFlows(flows, { tables, nodeAddresses, ipsets })),
      problems: [],
    };
  }
  const servers = await readDump("--ipvsadm-save", ipvsadmSave, parseIpvsSave);
  const ask = savedExplainer({ tables, servers, ipsets: ipsets ?? new Map(), nodeAddresses });
  return { answer: (flows) => Promise.resolve(flows.map(ask)), problems: [] };
}

async function byNodeTables(path: string, nodeAddresses: readonly string[]): Promise<Explainer> {
  const ruleset = await readDump("--nft-list", path, parseRuleset);
  const ask = nftablesExplainer({ tables: tablesOf(ruleset), nodeAddresses });
  return { answer: (flows) => Promise.resolve(flows.map(ask)), problems: [] };
}
