/**
 * Options of a node's rules that its programs and kernel decide, as far as the rules themselves show
 * them: whoever made them asked that node, and we cannot.
 *
 * @module
 */

import type { ChainNaming } from "../dataplane/iptables/names.ts";
import {
  type CounterName,
  COUNTERS,
  DEFAULT_RULE_OPTIONS,
  type RuleOptions,
} from "../dataplane/iptables/options.ts";
import { render } from "../dataplane/iptables/render.ts";
import type { Family } from "../net/address.ts";
import type { Plan } from "../plan/plan.ts";

/** A proxy's rules that masquerade: they are there whatever the Services. */
const MASQUERADES = /^-A KUBE-POSTROUTING .*-j MASQUERADE/m;
const RANDOMLY = /^-A KUBE-POSTROUTING .*-j MASQUERADE --random-fully$/m;
/** The rule that drops what connection tracking calls invalid, and the chain that it is in. */
const FORWARDS = /^-A KUBE-FORWARD /m;
const DROPS_INVALID = /^-A KUBE-FORWARD .*--ctstate INVALID .*-j DROP$/m;
/** A rule that counts; iptables-save puts two spaces before the name. */
const COUNTED = / --nfacct-name +(\S+)/g;

/**
 * How the chains of ports without a name are named on a node: kube-proxy's way of doing that has
 * changed. As the options say where both or none are there.
 *
 * @param saved iptables-save's text of a family.
 */
export function namingAsFound(
  options: RuleOptions,
  plan: Plan,
  family: Family,
  saved: string,
): ChainNaming {
  const there = new Set(Array.from(saved.matchAll(/^:(\S+)/gm), ([, chain]) => chain));
  const found = (chainNaming: ChainNaming) => {
    const { rules } = render(plan, family, { ...options, chainNaming });
    const chains = [...rules.services.values()].flatMap(({ nat }) => nat.chains);
    return chains.filter((chain) => there.has(chain)).length;
  };
  const other = options.chainNaming === "current" ? "documented" : "current";
  return found(other) > found(options.chainNaming) ? other : options.chainNaming;
}

/**
 * @param options as the flags say.
 * @param saved iptables-save's text of all families.
 */
export function optionsAsFound(options: RuleOptions, saved: string): RuleOptions {
  const counted = new Set(Array.from(saved.matchAll(COUNTED), ([, name]) => name));
  const counters = Object.values(COUNTERS).filter((name): name is CounterName => counted.has(name));
  return {
    ...options,
    randomFully: MASQUERADES.test(saved) ? RANDOMLY.test(saved) : DEFAULT_RULE_OPTIONS.randomFully,
    tcpLiberal: FORWARDS.test(saved) && !DROPS_INVALID.test(saved),
    counters: new Set(counters),
  };
}
