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

/**
 * The tables of a rendered rule set on a node that has no other rules, as `renderedTables` has them.
 *
 * @param before those of an earlier rule set: what has stayed the same is known to be.
 */
export function renderedSources(
  rules: RuleSet,
  before: readonly RenderedSource[] = [],
): RenderedSource[] {
  let line = 1;
  return TABLES.map((name, i) => {
    const source = new RenderedSource(rules, name, line, before[i]);
    line = source.end;
    return source;
  });
}

/** Services whose chains are kept rendered: all of them would be many times the plan. */
const MOST_SERVICES = 4;

/** Rules that stand together. */
export interface Place {
  /** The same object as long as they are the same rules, whatever their lines. */
  readonly content: object;
  /** The line of the first one; 0: there is none. */
  readonly line: number;
}

/** A Service's chains. */
interface Service extends Place {
  readonly content: Fragment;
}

/** A chain that parts share. */
interface SharedChain extends Place {
  readonly rules: readonly RenderedRule[];
}

/** One table. Lines are those that it would have as text. */
export class RenderedSource implements TableSource {
  /** The line after COMMIT. */
  readonly end: number;
  /** Of the chains that parts share. */
  readonly #shared = new Map<string, SharedChain>();
  /** By their chains: those that rules of others jump to, and of those once rendered the others. */
  readonly #services = new Map<string, Service>();
  readonly #rendered = new Recent<Service, ReadonlyMap<string, readonly RenderedRule[]>>(
    MOST_SERVICES,
  );

  constructor(rules: RuleSet, readonly name: TableName, begin: number, before?: RenderedSource) {
    const shared = sharedChains(rules, name);
    const parts = fragments(rules);
    // The table's own line, then its chains.
    let line = begin + 1 + BUILT_IN[name].length +
      parts.reduce((sum, part) => sum + part.chainCount[name], 0);
    // Each jump is put in front of those before it.
    const jumps = JUMPS.filter(({ table, to }) => table === name && shared.has(to)).toReversed();
    const first = jumps.map(({ chain, spec }) => new RenderedRule(chain, spec, line++));
    for (const own of BUILT_IN[name]) {
      this.#share(own, first.filter(({ chain }) => chain === own), before);
    }
    line = this.#putChains(rules.head, shared, line, before);
    for (const fragment of rules.services.values()) {
      const service = { content: fragment, line };
      for (const { spec } of fragment.shared[name]) {
        const target = jumpTarget(spec);
        if (target !== null && !shared.has(target)) this.#services.set(target, service);
      }
      line += fragment.size[name] - fragment.shared[name].length;
    }
    this.end = this.#putChains(rules.tail, shared, line, before) + 1;
  }

  has(chain: string): boolean {
    return this.#services.has(chain) || this.#shared.has(chain);
  }

  policy(chain: string): string | null {
    return BUILT_IN[this.name].includes(chain) ? "ACCEPT" : null;
  }

  rules(chain: string): readonly RenderedRule[] {
    const service = this.#services.get(chain);
    if (service === undefined) return this.#shared.get(chain)?.rules ?? [];
    return this.#rendered.get(service, () => this.#render(service)).get(chain) ?? [];
  }

  /**
   * Where a chain stands: among those of its Service, or by itself. Null when nothing leads there,
   * or would only from a chain that has not been asked for.
   */
  place(chain: string): Place | null {
    return this.#services.get(chain) ?? this.#shared.get(chain) ?? null;
  }

  #render(service: Service): ReadonlyMap<string, readonly RenderedRule[]> {
    const { content: fragment, line } = service;
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
    before: RenderedSource | undefined,
  ): number {
    for (const name of fragment[this.name].chains) {
      const rules = shared.get(name)!.map((rule) =>
        new RenderedRule(name, rule.spec, line++, rule)
      );
      this.#share(name, rules, before);
    }
    return line;
  }

  #share(chain: string, rules: readonly RenderedRule[], before: RenderedSource | undefined): void {
    const known = before === undefined ? undefined : before.#shared.get(chain);
    const content = known !== undefined && isSame(known.rules, rules) ? known.content : {};
    this.#shared.set(chain, { content, line: rules.at(0)?.line ?? 0, rules });
  }
}

function isSame(some: readonly RenderedRule[], others: readonly RenderedRule[]): boolean {
  return some.length === others.length && some.every((rule, i) => rule.says(others[i]));
}

/** Where a rule leads, at the end of our rules. */
function jumpTarget(spec: string): string | null {
  return / -j (KUBE-[A-Z]+-[A-Z2-7]{16})$/.exec(spec)?.[1] ?? null;
}
