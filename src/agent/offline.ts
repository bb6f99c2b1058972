/**
 * What the HTTP API would see of an agent that serves manifests, without one: a plan, an engine that
 * has it, and the rules of a node as somebody printed them.
 *
 * @module
 */

import { EventHub } from "../api/events/hub.ts";
import type { ApiState, NodeView } from "../api/state.ts";
import { formatProblem } from "../cluster/source.ts";
import type { Config } from "../config/config.ts";
import type { ProxyMode } from "../dataplane/dataplane.ts";

import { differencesOf, findDrift } from "../dataplane/iptables/drift.ts";
import type { RuleOptions } from "../dataplane/iptables/options.ts";
import { readRules } from "../dataplane/iptables/read.ts";
import { render } from "../dataplane/iptables/render.ts";
import type { RuleSet } from "../dataplane/iptables/rules.ts";
import { LocalEngine } from "../engine/local.ts";
import { History } from "../history/history.ts";
import { FAMILIES, type Family } from "../net/address.ts";
import type { Plan } from "../plan/plan.ts";
import { planFromManifests } from "./from_manifests.ts";
import { checkMode } from "./mode.ts";
import { namingAsFound, optionsAsFound } from "./options_found.ts";
import { ipvsOptions, ruleOptions } from "./options.ts";

/** The rules of a node. */
export interface SavedRules {
  /** iptables-save's text of each family; null where there is none. */
  readonly text: Readonly<Record<Family, string | null>>;
  /** Chains have to be named as the configuration says; else as it is found there. */
  readonly fixedNaming: boolean;
}

/** A state, and what of the manifests is not in it, one line each. */
export interface OfflineState {
  readonly state: ApiState;
  readonly problems: readonly string[];
}

/**
 * The state for manifests.
 *
 * @param saved the rules of a node in iptables mode; absent: there is no node.
 * @throws {UsageError} when the manifests cannot be read, or the mode cannot be had.
 */
export async function offlineState(
  config: Config,
  mode: ProxyMode,
  saved?: SavedRules,
): Promise<OfflineState> {
  checkMode(config, mode);
  const { plan, planner, problems } = await planFromManifests(config, mode);
  const engine = LocalEngine.create({ seed: 1n });
  await engine.apply({ node: plan.node, updated: [...plan.services.values()], removed: [] });
  const families = saved === undefined
    ? config.families
    : config.families.filter((family) => saved.text[family] !== null);
  const options = saved === undefined ? ruleOptions(config) : optionsOf(config, plan, saved);
  const state: ApiState = {
    mode,
    families,
    ruleOptions: options,
    ipvsOptions: ipvsOptions(config),
    node: saved === undefined ? {} : savedNode(plan, families, options, saved),
    programming: saved !== undefined,
    engine,
    serviceNetworks: config.serviceClusterIPRanges,
    plan: () => plan,
    fork: () => planner.fork(),
    revision: () => 0,
    problems: () => problems,
    health: () => {
      const now = Date.now();
      return {
        healthy: true,
        nodeEligible: true,
        currentTime: now,
        lastUpdated: now,
        status: [],
      };
    },
    events: new EventHub(),
    history: new History(),
  };
  return { state, problems: problems.map(formatProblem) };
}

function optionsOf(config: Config, plan: Plan, { text, fixedNaming }: SavedRules): RuleOptions {
  const all = FAMILIES.map((family) => text[family] ?? "").join("");
  const options = optionsAsFound(ruleOptions(config), all);
  const family = config.families.find((one) => text[one] !== null);
  if (fixedNaming || family === undefined) return options;
  return { ...options, chainNaming: namingAsFound(options, plan, family, text[family]!) };
}

/** A node that has these rules, and should have those of the plan. */
function savedNode(
  plan: Plan,
  families: readonly Family[],
  options: RuleOptions,
  { text }: SavedRules,
): NodeView {
  const desired = new Map<Family, RuleSet>(
    families.map((family) => [family, render(plan, family, options).rules]),
  );
  return {
    iptables: {
      rules: (family) => desired.get(family) ?? null,
      saved: (family) => Promise.resolve(text[family] ?? ""),
    },
    differences: () =>
      Promise.resolve(
        [...desired].flatMap(([family, rules]) =>
          differencesOf(findDrift(readRules(text[family]!, family), rules))
        ),
      ),
  };
}
