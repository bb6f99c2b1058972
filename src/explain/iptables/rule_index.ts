/**
 * The rules of a chain by the address that their packets go to: of ten thousand in KUBE-SERVICES a
 * packet can match a few.
 *
 * @module
 */

import { parseNetwork } from "../../net/address.ts";
import { base } from "./matches/base.ts";
import { NotUnderstood } from "./matches/result.ts";
import type { MatchUse } from "./options.ts";

/** What is indexed. */
interface Indexed {
  /** 1-based, in its chain. */
  readonly number: number;
  /** The one address whose packets it can match; null: it may match others. */
  readonly dest: string | null;
}

/** Rules that a packet may match. Those that are left out would say no, and leave no trace. */
export class RuleIndex<Rule extends Indexed> {
  readonly #rules: readonly Rule[];
  readonly #anywhere: Rule[] = [];
  readonly #byDest = new Map<string, Rule[]>();

  /** @param rules in the order of the chain. */
  constructor(rules: readonly Rule[]) {
    this.#rules = rules;
    for (const rule of rules) {
      const list = rule.dest === null ? this.#anywhere : this.#byDest.get(rule.dest);
      if (list !== undefined) list.push(rule);
      else this.#byDest.set(rule.dest!, [rule]);
    }
  }

  /** Those that packets to a canonical address may match, in the order of the chain. */
  forDest(dest: string): readonly Rule[] {
    if (this.#byDest.size === 0) return this.#rules;
    const own = this.#byDest.get(dest);
    if (own === undefined) return this.#anywhere;
    return [...own, ...this.#anywhere].sort((a, b) => a.number - b.number);
  }
}

/** The one destination that a rule's own words demand; null when there is none, or it is doubtful. */
export function demandedDest(matches: readonly MatchUse[]): string | null {
  const [first] = matches;
  if (first?.module !== "base") return null;
  const option = first.options.find(({ name }) => ["-d", "--destination", "--dst"].includes(name));
  if (option === undefined || option.negated) return null;
  const network = parseNetwork(option.args[0] ?? "");
  if (network === null || network.prefix !== network.bytes.length * 8) return null;
  try {
    base.compile(first.options);
  } catch (error) {
    // A match that is not understood is in doubt for every packet.
    if (error instanceof NotUnderstood) return null;
    throw error;
  }
  return network.address;
}
