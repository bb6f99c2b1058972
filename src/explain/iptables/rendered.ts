/**
 * Our own rules as a node would have them, without programming one.
 *
 * @module
 */

import { JUMPS } from "../../dataplane/iptables/jumps.ts";
import { collectChains, fragments, type RuleSet, TABLES } from "../../dataplane/iptables/rules.ts";
import {
  formatSave,
  parseSave,
  type SaveRule,
  type SaveTable,
  splitWords,
} from "../../dataplane/iptables/save_text.ts";

/** The kernel's chains. */
const BUILT_IN = {
  filter: ["INPUT", "FORWARD", "OUTPUT"],
  nat: ["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"],
} as const;

/** The tables of a rendered rule set with the jumps to it, on a node that has no other rules. */
export function renderedTables(rules: RuleSet): SaveTable[] {
  const tables = TABLES.map((name): SaveTable => {
    const own = collectChains(fragments(rules), name);
    const jumps = JUMPS.filter(({ table, to }) => table === name && own.has(to));
    const chains: SaveTable["chains"] = new Map();
    for (const chain of BUILT_IN[name]) chains.set(chain, declared("ACCEPT"));
    for (const chain of own.keys()) chains.set(chain, declared(null));
    return {
      name,
      line: 0,
      chains,
      rules: [
        // Each jump is put in front of those before it.
        ...jumps.toReversed().map(({ chain, spec }) => saved(chain, spec)),
        ...[...own].flatMap(([chain, specs]) => specs.map((spec) => saved(chain, spec))),
      ],
    };
  });
  return parseSave(formatSave(tables));
}

function declared(policy: string | null) {
  return { policy, counters: null, line: 0 };
}

function saved(chain: string, spec: string): SaveRule {
  const tokens = splitWords(spec);
  if (tokens === null) throw new TypeError(`a quote is not closed in a rule of ${chain}: ${spec}`);
  return { chain, tokens, line: 0 };
}
