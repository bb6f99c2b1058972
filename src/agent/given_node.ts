/**
 * A node of which somebody has read what is there, as the HTTP API sees one: what it has beside what
 * the plan asks for.
 *
 * @module
 */

import type { NodeView } from "../api/state.ts";
import type { Config } from "../config/config.ts";
import type { Difference } from "../dataplane/dataplane.ts";
import { differencesOf, findDrift } from "../dataplane/iptables/drift.ts";
import type { RuleOptions } from "../dataplane/iptables/options.ts";
import { readRules } from "../dataplane/iptables/read.ts";
import { render } from "../dataplane/iptables/render.ts";
import type { RuleSet } from "../dataplane/iptables/rules.ts";
import { findDifferences } from "../dataplane/ipvs/drift.ts";
import type { IpvsOptions } from "../dataplane/ipvs/options.ts";
import { type KernelReader, readNode } from "../dataplane/ipvs/read.ts";
import { render as renderIpvs } from "../dataplane/ipvs/render.ts";
import { readTables } from "../dataplane/ipvs/rules.ts";
import { drains, realName } from "../dataplane/ipvs/servers.ts";
import type { IpvsState } from "../dataplane/ipvs/state.ts";
import {
  differencesOf as differencesOfTables,
  findDrift as findTableDrift,
} from "../dataplane/nftables/drift.ts";
import type { ReadTable } from "../dataplane/nftables/access.ts";
import type { Table } from "../dataplane/nftables/language/ast.ts";
import { isOwnTable, tableFamily } from "../dataplane/nftables/names.ts";
import { render as renderNftables } from "../dataplane/nftables/render.ts";
import { findDifferences as findRoutingDifferences } from "../dataplane/userspace/drift.ts";
import {
  MASQUERADE_PORTS,
  render as renderRouting,
  type UserspaceRules,
} from "../dataplane/userspace/render.ts";
import { FAMILIES, type Family } from "../net/address.ts";
import type { Plan } from "../plan/plan.ts";
import { ipvsOptions, type RenderingOptions, renderingOptions, ruleOptions } from "./options.ts";
import { namingAsFound, optionsAsFound } from "./options_found.ts";

/** iptables-save's text of each family; null where there is none. */
export type SavedText = Readonly<Record<Family, string | null>>;

/** The rules of a node in iptables mode. */
export interface SavedRules {
  readonly text: SavedText;
  /** Chains have to be named as the configuration says; else as it is found there. */
  readonly fixedNaming: boolean;
}

/** What a node in ipvs mode has. */
export interface ReadServers {
  readonly text: SavedText;
  /** Made when the node's addresses are known, which no text has. */
  kernel(nodeAddresses: readonly string[]): KernelReader;
}

/** What a node in nftables mode has. */
export interface ReadTables {
  /** Those that something is known of. */
  readonly families: readonly Family[];
  /** All that packets of a family pass, the proxy's among them. */
  tables(family: Family): Promise<readonly ReadTable[]>;
}

/** What a node in userspace mode has. */
export interface ReadRouting {
  readonly rules: UserspaceRules;
  /** What of the routing that does not depend on any plan is not as it should be. */
  readonly foundation: readonly Difference[];
}

/** A node, and how the plan would be rendered for it. */
export interface GivenNode extends RenderingOptions {
  /** Those that something is known of. */
  readonly families: readonly Family[];
  readonly view: NodeView;
}

/** What is known of a node, once there is a plan to see it by. */
export type GiveNode = (plan: Plan) => GivenNode;

/** A node in iptables mode. */
export function iptablesNode(config: Config, saved: SavedRules): GiveNode {
  return (plan) => {
    const families = familiesIn(config, saved.text);
    const options = optionsOf(config, plan, saved);
    const desired = new Map<Family, RuleSet>(
      families.map((family) => [family, render(plan, family, options).rules]),
    );
    const { text } = saved;
    return {
      families,
      ...renderingOptions(config),
      ruleOptions: options,
      view: {
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
      },
    };
  };
}

function optionsOf(config: Config, plan: Plan, { text, fixedNaming }: SavedRules): RuleOptions {
  const options = optionsAsFound(ruleOptions(config), textOf(text));
  const family = config.families.find((one) => text[one] !== null);
  if (fixedNaming || family === undefined) return options;
  return { ...options, chainNaming: namingAsFound(options, plan, family, text[family]!) };
}

/** A node in ipvs mode. Real servers with weight 0 that nobody asks for are on their way out. */
export function ipvsNode(config: Config, { text, kernel: kernelOf }: ReadServers): GiveNode {
  return (plan) => {
    const kernel = kernelOf(plan.node.addresses);
    const families = familiesIn(config, text);
    const own = ipvsOptions(config);
    const options: IpvsOptions = {
      ...own,
      rules: optionsAsFound(own.rules, textOf(text)),
      otherAddresses: new Set(families.flatMap((family) => kernel.addresses(family).elsewhere)),
    };
    const desired = new Map(
      families.map((family) => [family, renderIpvs(plan, family, options).state]),
    );
    const read = (family: Family) => {
      const tables = readTables(text[family]!, family);
      const known = new Set(desired.get(family)!.servers.keys());
      const excluded = config.ipvs.excludeCIDRs;
      return { tables, state: readNode(kernel, tables, family, { known, excluded }) };
    };
    return {
      families,
      ...renderingOptions(config),
      ruleOptions: options.rules,
      ipvsOptions: options,
      view: {
        ipvs: {
          state: (family) => desired.get(family) ?? null,
          read: (family) =>
            Promise.resolve({ state: read(family).state, saved: text[family] ?? "" }),
        },
        differences: () =>
          Promise.resolve(
            [...desired].flatMap(([family, wanted]) => {
              const { tables, state } = read(family);
              return findDifferences(state, tables, wanted, leavingOf(state, wanted));
            }),
          ),
      },
    };
  };
}

/** What a running agent remembers, by what a kernel shows of it. */
function leavingOf(node: IpvsState, wanted: IpvsState): Parameters<typeof findDifferences>[3] {
  return {
    has: (name, real) => {
      const found = node.servers.get(name);
      const own = wanted.servers.get(name)?.realServers ?? [];
      return found !== undefined && drains(found) &&
        !own.some((one) => realName(one) === realName(real));
    },
    isLast: (name) => {
      const found = node.servers.get(name);
      return found !== undefined && drains(found) && found.realServers.length > 0 &&
        found.realServers.every(({ weight }) => weight === 0);
    },
  };
}

/** A node in nftables mode. */
export function nftablesNode(config: Config, { families, tables }: ReadTables): GiveNode {
  const own = async (family: Family) =>
    (await tables(family)).find((table): table is Table =>
      !("reason" in table) && isOwnTable(table) && table.family === tableFamily(family)
    ) ?? null;
  return (plan) => {
    const options = renderingOptions(config);
    const desired = new Map(
      families.map((family) => [
        family,
        renderNftables(plan, family, options.nftablesOptions).rules,
      ]),
    );
    return {
      families,
      ...options,
      view: {
        nftables: { rules: (family) => desired.get(family) ?? null, read: tables },
        differences: async () =>
          (await Promise.all(
            [...desired].map(async ([family, rules]) =>
              differencesOfTables(findTableDrift(await own(family), rules))
            ),
          )).flat(),
      },
    };
  };
}

/** A node in userspace mode. */
export function userspaceNode(config: Config, { rules, foundation }: ReadRouting): GiveNode {
  return (plan) => ({
    families: config.families,
    ...renderingOptions(config),
    view: {
      differences: () =>
        Promise.resolve([
          ...foundation,
          ...findRoutingDifferences(rules, renderRouting(plan, MASQUERADE_PORTS)),
        ]),
    },
  });
}

function familiesIn({ families }: Config, text: SavedText): Family[] {
  return families.filter((family) => text[family] !== null);
}

function textOf(text: SavedText): string {
  return FAMILIES.map((family) => text[family] ?? "").join("");
}
