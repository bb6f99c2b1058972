/**
 * Our own rules as the evaluator asks for them: a Service's chains are rendered when a packet first
 * gets there, so that the first question after a change costs no more than any other.
 *
 * @module
 */

import { JUMPS } from "../../dataplane/iptables/jumps.ts";
import {
  collectChains,
  type Fragment,
  fragments,
  type Rule,
  type RuleSet,
  sharedChains,
  type TableName,
  TABLES,
} from "../../dataplane/iptables/rules.ts";
import { Recent } from "../recent.ts";
import { BUILT_IN, RenderedRule } from "./rendered.ts";
import type { TableSource } from "./ruleset.ts";

/** The tables of a rendered rule set on a node that has no other rules, as `renderedTables` has them. */
export function renderedSources(rules: RuleSet): TableSource[] {
  let line = 1;
  return TABLES.map((name) => {
    const source = new RenderedSource(rules, name, line);
    line = source.end;
    return source;
  });
}

/** Services whose chains are kept rendered: all of them would be many times the plan. */
const MOST_SERVICES = 16;

/** A Service's chains, from this line on. */
interface Service {
  readonly fragment: Fragment;
  readonly line: number;
}

/** One table. Lines are those that it would have as text. */
class RenderedSource implements TableSource {
  /** The line after COMMIT. */
  readonly end: number;
  /** Of the chains that parts share. */
  readonly #rules = new Map<string, readonly RenderedRule[]>();
  /** By their chains: those that rules of others jump to, and of those once rendered the others. */
  readonly #services = new Map<string, Service>();
  readonly #rendered = new Recent<Service, ReadonlyMap<string, readonly RenderedRule[]>>(
    MOST_SERVICES,
  );

  constructor(rules: RuleSet, readonly name: TableName, begin: number) {
    const shared = sharedChains(rules, name);
    const parts = fragments(rules);
    // The table's own line, then its chains.
    let line = begin + 1 + BUILT_IN[name].length +
      parts.reduce((sum, part) => sum + part.chainCount[name], 0);
    // Each jump is put in front of those before it.
    const jumps = JUMPS.filter(({ table, to }) => table === name && shared.has(to)).toReversed();
    const first = jumps.map(({ chain, spec }) => new RenderedRule(chain, spec, line++));
    for (const own of BUILT_IN[name]) {
      this.#rules.set(own, first.filter(({ chain }) => chain === own));
    }
    line = this.#putChains(rules.head, shared, line);
    for (const fragment of rules.services.values()) {
      const service = { fragment, line };
      for (const { spec } of fragment.shared[name]) {
        const target = jumpTarget(spec);
        if (target !== null && !shared.has(target)) this.#services.set(target, service);
      }
      line += fragment.size[name] - fragment.shared[name].length;
    }
    this.end = this.#putChains(rules.tail, shared, line) + 1;
  }

  has(chain: string): boolean {
    return this.#services.has(chain) || this.#rules.has(chain);
  }

  policy(chain: string): string | null {
    return BUILT_IN[this.name].includes(chain) ? "ACCEPT" : null;
  }

  rules(chain: string): readonly RenderedRule[] {
    const service = this.#services.get(chain);
    if (service === undefined) return this.#rules.get(chain) ?? [];
    return this.#rendered.get(service, () => this.#render(service)).get(chain) ?? [];
  }

  #render(service: Service): ReadonlyMap<string, readonly RenderedRule[]> {
    const { fragment, line } = service;
    const own = collectChains([fragment], this.name);
    for (const { chain } of fragment.shared[this.name]) own.delete(chain);
    const chains = new Map<string, readonly RenderedRule[]>();
    let next = line;
    for (const [name, specs] of own) {
      chains.set(name, specs.map((spec) => new RenderedRule(name, spec, next++)));
      this.#services.set(name, service);
    }
    return chains;
  }

  /** The line after them. */
  #putChains(
    fragment: Fragment,
    shared: ReadonlyMap<string, readonly Rule[]>,
    line: number,
  ): number {
    for (const name of fragment[this.name].chains) {
      const rules = shared.get(name)!;
      this.#rules.set(name, rules.map((rule) => new RenderedRule(name, rule.spec, line++, rule)));
    }
    return line;
  }
}

/** Where a rule leads, at the end of our rules. */
function jumpTarget(spec: string): string | null {
  return / -j (KUBE-[A-Z]+-[A-Z2-7]{16})$/.exec(spec)?.[1] ?? null;
}
