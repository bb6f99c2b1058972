/**
 * `render`: what would be programmed for a mode, from manifests. Touches no node and needs no
 * privileges.
 *
 * @module
 */

import { planFromManifests } from "../agent/from_manifests.ts";
import { checkMode } from "../agent/mode.ts";
import { ipvsOptions, nftablesOptions, ruleOptions } from "../agent/options.ts";
import { type ClusterProblem, formatProblem } from "../cluster/source.ts";
import { type Config, parseCommandLine } from "../config/config.ts";
import { configureLogging } from "../config/logging.ts";
import { refuseArguments } from "../config/usage.ts";
import type { ProxyMode, RenderProblem } from "../dataplane/dataplane.ts";
import { render as renderRules } from "../dataplane/iptables/render.ts";
import { ruleStructure } from "../dataplane/iptables/structure.ts";
import { restoreText } from "../dataplane/iptables/text.ts";
import { render as renderIpvs } from "../dataplane/ipvs/render.ts";
import { ipvsStructure } from "../dataplane/ipvs/structure.ts";
import { ipvsText, ipvsTexts } from "../dataplane/ipvs/text.ts";
import { render as renderNftables } from "../dataplane/nftables/render.ts";
import { tablesText, tableStructure } from "../dataplane/nftables/structure.ts";
import { MASQUERADE_PORTS, render as renderRouting } from "../dataplane/userspace/render.ts";
import { routingStructure, routingText } from "../dataplane/userspace/structure.ts";
import type { Plan } from "../plan/plan.ts";
import { tellAsked } from "./asked.ts";
import { complainLines, printLines, printText } from "./io.ts";

/** What a mode is made of, for people and for programs. */
interface Rendering {
  readonly text: string;
  readonly structure: Readonly<Record<string, unknown>>;
  readonly problems: readonly ClusterProblem[];
}

const RENDERINGS: Readonly<Record<ProxyMode, (plan: Plan, config: Config) => Rendering>> = {
  iptables: renderIptables,
  ipvs: renderIpvsMode,
  nftables: renderNftablesMode,
  userspace: renderUserspace,
};

/** Prints the rule set; resolves with the exit status: 2 when some of the input is not in it. */
export async function render(args: readonly string[]): Promise<number> {
  const line = parseCommandLine(args, "render", Deno.hostname);
  if (tellAsked(line, "render")) return 0;
  refuseArguments(line);
  const { config } = line;
  configureLogging(config.logging);
  const mode = config.proxyMode ?? "iptables";
  checkMode(config, mode);
  const { plan, problems } = await planFromManifests(config, mode);
  const rendering = RENDERINGS[mode](plan, config);
  if (config.output === "json") {
    printLines(JSON.stringify({ mode, node: plan.node.name, ...rendering.structure }, null, 2));
  } else {
    printText(rendering.text);
  }
  const all = [...problems, ...rendering.problems].map(formatProblem);
  complainLines(...all);
  return all.length > 0 ? 2 : 0;
}

/** kube-proxy's restore text, a family after the other, each below a comment that names it. */
function renderIptables(plan: Plan, config: Config): Rendering {
  const rendered = config.families.map((family) => renderRules(plan, family, ruleOptions(config)));
  return {
    text: rendered.map(({ rules }) => `# ${rules.family}\n${restoreText(rules)}`).join(""),
    structure: { families: rendered.map(({ rules }) => ruleStructure(rules)) },
    problems: leftOut(rendered.flatMap(({ problems }) => problems)),
  };
}

/** Addresses, sets, virtual servers and rules, each as the input of a program, family by family. */
function renderIpvsMode(plan: Plan, config: Config): Rendering {
  const rendered = config.families.map((family) => renderIpvs(plan, family, ipvsOptions(config)));
  const states = rendered.map(({ state }) => state);
  return {
    text: ipvsText(states),
    structure: {
      families: states.map((state) => ({ ...ipvsStructure(state), texts: ipvsTexts(state) })),
    },
    problems: leftOut(rendered.flatMap(({ problems }) => problems)),
  };
}

/** kube-proxy's tables as `nft list` shows them and `nft -f` takes them. */
function renderNftablesMode(plan: Plan, config: Config): Rendering {
  const rendered = config.families.map((family) =>
    renderNftables(plan, family, nftablesOptions(config))
  );
  const rules = rendered.map(({ rules }) => rules);
  return {
    text: tablesText(rules),
    structure: { families: rules.map(tableStructure) },
    problems: leftOut(rendered.flatMap(({ problems }) => problems)),
  };
}

/** Each Service once, though it be left out in both families. */
function leftOut(problems: readonly RenderProblem[]): ClusterProblem[] {
  const left = new Map(problems.map(({ service, message }) => [service, message]));
  return [...left].map(([service, message]) => ({
    where: "render",
    object: `Service ${service}`,
    message,
  }));
}

/** The host routes and captured ports that lead to the engine. */
function renderUserspace(plan: Plan): Rendering {
  const rules = renderRouting(plan, MASQUERADE_PORTS);
  return { text: routingText(rules), structure: { ...routingStructure(rules) }, problems: [] };
}
