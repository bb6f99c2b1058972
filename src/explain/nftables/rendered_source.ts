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
import { TABLE, tableFamily } from "../../dataplane/nftables/names.ts";
import type { Fragment, RuleSet, ServiceParts } from "../../dataplane/nftables/rules.ts";
import type { SetDeclaration } from "../../dataplane/nftables/transaction.ts";
import { Recent } from "../recent.ts";
import type { TableSource } from "./tables.ts";

/** The table of a rendered rule set on a node that has no other rules. */
export function renderedTable(rules: RuleSet): TableSource {
  return new RenderedTable(rules);
}

/** Services whose chains are kept rendered: all of them would be many times the plan. */
const MOST_SERVICES = 64;

/** A Service's own chains and sets, by name. */
interface ServiceTable {
  readonly chains: ReadonlyMap<string, Chain>;
  readonly sets: ReadonlyMap<string, NamedSet>;
}

/** What Services add to the sets that they share, for as long as they are what they are. */
const ELEMENTS = new WeakMap<Fragment, ServiceParts["elements"]>();

class RenderedTable implements TableSource {
  readonly family: TableFamily;
  readonly name = TABLE;
  readonly dormant = false;
  readonly baseChains: readonly Chain[];
  readonly #rules: RuleSet;
  readonly #chains: ReadonlyMap<string, Chain>;
  readonly #shared: ReadonlyMap<string, SetDeclaration>;
  /** Of those that Services share, with their elements. */
  readonly #sets = new Map<string, NamedSet>();
  readonly #services = new Recent<Fragment, ServiceTable>(MOST_SERVICES);

  constructor(rules: RuleSet) {
    const { family, head } = rules;
    this.family = tableFamily(family);
    this.#rules = rules;
    this.baseChains = head.chains.filter(({ base }) => base !== null);
    this.#chains = new Map(head.chains.map((chain) => [chain.name, chain]));
    this.#shared = new Map(head.sets.map((set) => [set.name, set]));
  }

  chain(name: string): Chain | undefined {
    return this.#chains.get(name) ?? this.#serviceOf(name)?.chains.get(name);
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
    return this.#services.get(fragment, () => serviceTable(fragment.render()));
  }

  #elements(name: string): Element[] {
    const { head, services } = this.#rules;
    const found: Element[] = [];
    // Services may have a cluster IP together; either element says the same.
    const collect = (elements: ReadonlyMap<string, readonly Element[]>) => {
      for (const element of elements.get(name) ?? []) found.push(element);
    };
    collect(head.elements);
    for (const service of services.values()) collect(elementsOf(service));
    return found;
  }
}

/** "service-4SW47YFZ-namespace/name/tcp/port": names are cut behind the Service's, if anywhere. */
const OWNER = /^[a-z]+-[A-Z0-9]{8}-([^/]+\/[^/]+)\//;

function elementsOf(fragment: Fragment): ServiceParts["elements"] {
  let elements = ELEMENTS.get(fragment);
  if (elements === undefined) ELEMENTS.set(fragment, elements = fragment.render().elements);
  return elements;
}

function serviceTable({ chains, affinitySets }: ServiceParts): ServiceTable {
  return {
    chains: new Map(chains.map((chain) => [chain.name, chain])),
    sets: new Map(affinitySets.map((set) => [set.name, withElements(set, [])])),
  };
}

function withElements(set: SetDeclaration, elements: readonly Element[]): NamedSet {
  return { ...set, handle: null, elements };
}
