/**
 * Our own rules as the evaluator asks for them: a Service's chains are rendered when a packet first
 * gets there, and elements once for each Service, so that the first question after a change costs no
 * more than any other.
 *
 * @module
 */

import type {
  Chain,
  Element,
  NamedSet,
  TableFamily,
} from "../../dataplane/nftables/language/ast.ts";
import {
  chainHeadLineCount,
  chainLineCount,
  headLineCount,
  setLineCount,
  valueText,
} from "../../dataplane/nftables/language/print.ts";
import { TABLE, TABLE_COMMENT, tableFamily } from "../../dataplane/nftables/names.ts";
import type { Fragment, RuleSet, ServiceParts } from "../../dataplane/nftables/rules.ts";
import type { SetDeclaration } from "../../dataplane/nftables/transaction.ts";
import { Recent } from "../recent.ts";
import type { TableSource } from "./tables.ts";

/**
 * The tables of rendered rule sets on a node that has no others. Rules have the lines of the text of
 * all of them, as `render` prints it.
 */
export function renderedTables(rules: readonly RuleSet[]): TableSource[] {
  const tables: RenderedTable[] = [];
  for (const one of rules) {
    const before = tables.at(-1);
    tables.push(new RenderedTable(one, () => before === undefined ? 1 : before.end + 2));
  }
  return tables;
}

/** Services whose chains are kept rendered: all of them would be many times the plan. */
const MOST_SERVICES = 64;

/** A Service's own chains and sets, by name. */
interface ServiceTable {
  readonly chains: ReadonlyMap<string, Chain>;
  readonly sets: ReadonlyMap<string, NamedSet>;
}

/** What is kept of a Service for as long as it is what it is. */
interface ServiceOutline {
  /** What it adds to the sets that Services share, by the texts of the keys. */
  readonly elements: ReadonlyMap<string, ReadonlyMap<string, Element>>;
  /** Lines of the sets and chains of its own. */
  readonly setLines: number;
  readonly chainLines: number;
}

const OUTLINES = new WeakMap<Fragment, ServiceOutline>();

/** In which lines of its text a table's chains are. */
interface Layout {
  /** The lines of the chains that Services share, with their rules in place. */
  readonly chains: ReadonlyMap<string, Chain>;
  /** The line in front of each Service's first chain. */
  readonly services: ReadonlyMap<Fragment, number>;
  /** The table's last line. */
  readonly end: number;
}

class RenderedTable implements TableSource {
  readonly family: TableFamily;
  readonly name = TABLE;
  readonly dormant = false;
  readonly #rules: RuleSet;
  readonly #begin: () => number;
  readonly #shared: ReadonlyMap<string, SetDeclaration>;
  #layout: Layout | null = null;
  /** Of those that Services share, with their elements. */
  readonly #sets = new Map<string, NamedSet>();
  readonly #services = new Recent<Fragment, ServiceTable>(MOST_SERVICES);

  /** @param begin tells the table's first line. */
  constructor(rules: RuleSet, begin: () => number) {
    this.family = tableFamily(rules.family);
    this.#rules = rules;
    this.#begin = begin;
    this.#shared = new Map(rules.head.sets.map((set) => [set.name, set]));
  }

  get baseChains(): readonly Chain[] {
    return [...this.#laidOut.chains.values()].filter(({ base }) => base !== null);
  }

  /** The table's last line. */
  get end(): number {
    return this.#laidOut.end;
  }

  chain(name: string): Chain | undefined {
    return this.#laidOut.chains.get(name) ?? this.#serviceOf(name)?.chains.get(name);
  }

  set(name: string): NamedSet | undefined {
    const shared = this.#shared.get(name);
    if (shared === undefined) return this.#serviceOf(name)?.sets.get(name);
    let set = this.#sets.get(name);
    if (set === undefined) this.#sets.set(name, set = withElements(shared, this.#elements(name)));
    return set;
  }

  /** The Service whose chain or set has the name: it has the Service's in it. */
  #serviceOf(name: string): ServiceTable | null {
    const [, key] = OWNER.exec(name) ?? [];
    const fragment = key === undefined ? undefined : this.#rules.services.get(key);
    if (fragment === undefined) return null;
    return this.#services.get(fragment, () => {
      const line = this.#laidOut.services.get(fragment)!;
      return serviceTable(fragment.render(), line);
    });
  }

  /** Services may have a cluster IP together; either element says the same. */
  #elements(name: string): Element[] {
    const { head, services } = this.#rules;
    const found = new Map<string, Element>();
    const collect = (elements: ServiceOutline["elements"]) => {
      for (const [key, element] of elements.get(name) ?? []) found.set(key, element);
    };
    collect(byKey(head.elements));
    for (const service of services.values()) collect(outlineOf(service).elements);
    return [...found.values()];
  }

  get #laidOut(): Layout {
    return this.#layout ??= this.#layOut();
  }

  #layOut(): Layout {
    const { head, services } = this.#rules;
    let line = this.#begin() - 1 + headLineCount({ comment: TABLE_COMMENT, flags: [] });
    for (const set of head.sets) {
      line += setLineCount(set, this.set(set.name)!.elements.length);
    }
    for (const service of services.values()) line += outlineOf(service).setLines;
    const chains = new Map<string, Chain>();
    for (const chain of head.chains) {
      chains.set(chain.name, withLines(chain, line));
      line += chainLineCount(chain);
    }
    const lines = new Map<Fragment, number>();
    for (const service of services.values()) {
      lines.set(service, line);
      line += outlineOf(service).chainLines;
    }
    return { chains, services: lines, end: line + 1 };
  }
}

/** "service-4SW47YFZ-namespace/name/tcp/port": names are cut behind the Service's, if anywhere. */
const OWNER = /^[a-z]+-[A-Z0-9]{8}-([^/]+\/[^/]+)\//;

function outlineOf(fragment: Fragment): ServiceOutline {
  let outline = OUTLINES.get(fragment);
  if (outline === undefined) {
    const { elements, affinitySets, chains } = fragment.render();
    const setLines = affinitySets.reduce((sum, set) => sum + setLineCount(set, 0), 0);
    const chainLines = chains.reduce((sum, chain) => sum + chainLineCount(chain), 0);
    OUTLINES.set(fragment, outline = { elements: byKey(elements), setLines, chainLines });
  }
  return outline;
}

function byKey(parts: ServiceParts["elements"]): ServiceOutline["elements"] {
  const elements = [...parts].map(([name, own]) =>
    [name, new Map(own.map((one) => [valueText(one.key, []), one]))] as const
  );
  return new Map(elements);
}

/** @param before the line in front of the first chain. */
function serviceTable({ chains, affinitySets }: ServiceParts, before: number): ServiceTable {
  let line = before;
  return {
    chains: new Map(chains.map((chain) => {
      const placed = withLines(chain, line);
      line += chainLineCount(chain);
      return [chain.name, placed];
    })),
    sets: new Map(affinitySets.map((set) => [set.name, withElements(set, [])])),
  };
}

/** @param before the line in front of the chain. */
function withLines(chain: Chain, before: number): Chain {
  const first = before + chainHeadLineCount(chain) + 1;
  return { ...chain, rules: chain.rules.map((rule, i) => ({ ...rule, line: first + i })) };
}

function withElements(set: SetDeclaration, elements: readonly Element[]): NamedSet {
  return { ...set, handle: null, elements };
}
