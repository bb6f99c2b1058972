/**
 * From the table that is there to the one that should be, in as few steps as are safe.
 *
 * A chain is left alone or emptied and filled anew: rules have no names, and a node is only read
 * when everything is compared. Elements are added and taken out one by one. Whatever is in the table
 * and should not be goes, as all of the table is the proxy's.
 *
 * @module
 */

import type { Chain, Element, NamedSet, Statement, Table } from "./language/ast.ts";
import { SET, TABLE_COMMENT } from "./names.ts";
import type { RuleSet, ServiceParts } from "./rules.ts";
import { haveSameRules, isSameBase, isSameElement, isSameSet, keyText } from "./same.ts";
import { declarationOf } from "./sets.ts";
import type { Operation, SetDeclaration } from "./transaction.ts";

/** What a node's kernel needs to be told otherwise. */
export interface DiffOptions {
  /**
   * A chain can be taken away together with what leads to it. Else it is emptied and told to `stale`,
   * to be taken away later: kernels before 6.2 notice too late that a map's element is gone.
   */
  readonly removesChains: boolean;
  readonly stale?: (chain: string) => void;
  /** The table is made anew, whatever is in it. */
  readonly anew?: boolean;
}

/**
 * Everything that makes a node's table, or null for none, what the rules say. The steps are made when
 * they are asked for.
 */
export function* diffNode(
  node: Table | null,
  rules: RuleSet,
  options: DiffOptions,
): Generator<Operation> {
  const { head, services } = rules;
  // Base chains cannot be made in a table that is being woken.
  const usable = !options.anew && node !== null && node.flags.length === 0 &&
    head.sets.every((set) => {
      const present = node.sets.find(({ name }) => name === set.name);
      return present === undefined || isSameSet(present, set);
    });
  if (node !== null && !usable) yield { action: "delete-table" };
  if (!usable) yield { action: "add-table", comment: TABLE_COMMENT };
  const current = usable ? currentTable(node) : new CurrentParts();
  const diff = new PartsDiff(current, head.sets);
  yield* diff.parts({ chains: head.chains, affinitySets: head.sets, elements: head.elements });
  for (const service of services.values()) yield* diff.parts(service.render());
  yield* diff.rest(options);
}

/**
 * What makes one rule set the other, of which only these Services, by "namespace/name", are
 * different. The node must have the first.
 */
export function* diffServices(
  previous: RuleSet,
  next: RuleSet,
  changed: Iterable<string>,
  options: DiffOptions,
): Generator<Operation> {
  const keys = [...changed];
  const current = new CurrentParts();
  for (const key of keys) {
    const fragment = previous.services.get(key);
    if (fragment !== undefined) current.add(fragment.render());
  }
  const diff = new PartsDiff(current, next.head.sets);
  for (const key of keys) {
    const fragment = next.services.get(key);
    if (fragment !== undefined) yield* diff.parts(fragment.render());
  }
  current.keep(SET.clusterIPs, ({ key }) => {
    if (key.kind !== "address") return false;
    // Another Service may have it too.
    for (const fragment of next.services.values()) if (fragment.hasClusterIP(key.text)) return true;
    return false;
  });
  yield* diff.rest(options);
}

/** What is there. */
class CurrentParts {
  readonly chains = new Map<string, Chain>();
  readonly sets = new Map<string, SetDeclaration>();
  /** By the set and the key's text. */
  readonly elements = new Map<string, Map<string, Element>>();
  /** Null until it is asked for, which is rare. */
  #users: Map<string, string[]> | null = null;

  add({ chains, affinitySets, elements }: ServiceParts): void {
    for (const chain of chains) this.chains.set(chain.name, chain);
    for (const set of affinitySets) this.sets.set(set.name, set);
    for (const [name, added] of elements) this.addElements(name, added);
  }

  addElements(set: string, added: readonly Element[]): void {
    let elements = this.elements.get(set);
    if (elements === undefined) this.elements.set(set, elements = new Map());
    for (const element of added) elements.set(keyText(element), element);
  }

  /** Has elements that should stay not be known. */
  keep(set: string, stays: (element: Element) => boolean): void {
    const elements = this.elements.get(set) ?? new Map<string, Element>();
    for (const [key, element] of elements) if (stays(element)) elements.delete(key);
  }

  /** Chains with a rule that names the set, of those that are still known. */
  chainsUsing(set: string): string[] {
    this.#users ??= chainsBySet(this.chains.values());
    return this.#users.get(set)?.filter((chain) => this.chains.has(chain)) ?? [];
  }
}

/** The names of chains by the sets that their rules name. */
function chainsBySet(chains: Iterable<Chain>): Map<string, string[]> {
  const users = new Map<string, string[]>();
  for (const { name, rules } of chains) {
    const named = rules.flatMap(({ statements }) => statements).map(setOf)
      .filter((set) => set !== null);
    for (const set of new Set(named)) {
      const known = users.get(set);
      if (known === undefined) users.set(set, [name]);
      else known.push(name);
    }
  }
  return users;
}

/** The set that a statement names, but for verdict maps, which are never of a type that changes. */
function setOf(statement: Statement): string | null {
  if (statement.kind === "update") return statement.set;
  const isLookup = statement.kind === "match" && statement.right.kind === "reference";
  return isLookup ? statement.right.name : null;
}

function currentTable({ chains, sets }: Table): CurrentParts {
  const current = new CurrentParts();
  for (const chain of chains) current.chains.set(chain.name, chain);
  for (const set of sets) {
    current.sets.set(set.name, declarationOf(set));
    // Clients that an endpoint remembers are the kernel's business.
    if (!isDynamic(set)) current.addElements(set.name, set.elements);
  }
  return current;
}

function isDynamic({ flags }: Pick<NamedSet, "flags">): boolean {
  return flags.includes("dynamic");
}

/** Takes out of what is there, part by part, what should be; the rest goes at last. */
class PartsDiff {
  readonly #current: CurrentParts;
  readonly #shared: ReadonlyMap<string, SetDeclaration>;
  /** Chains that were emptied on the way. */
  readonly #emptied = new Set<string>();
  /** Keys of cluster IPs that were seen to: Services may have one together. */
  readonly #clusterIPs = new Set<string>();

  constructor(current: CurrentParts, shared: readonly SetDeclaration[]) {
    this.#current = current;
    this.#shared = new Map(shared.map((set) => [set.name, set]));
  }

  /** Makes parts that need no others but those before. */
  *parts({ chains, affinitySets, elements }: ServiceParts): Generator<Operation> {
    for (const set of affinitySets) yield* this.#set(set);
    const unlike: Chain[] = [];
    for (const chain of chains) {
      if (yield* this.#needsRules(chain)) unlike.push(chain);
    }
    for (const { name, rules } of unlike) {
      for (const rule of rules) yield { action: "add-rule", chain: name, rule };
    }
    for (const [name, wanted] of elements) yield* this.#elements(name, wanted);
  }

  /** Takes away what no part had. */
  *rest({ removesChains, stale }: DiffOptions): Generator<Operation> {
    const { chains, sets, elements } = this.#current;
    const shared = this.#shared;
    for (const [name, left] of elements) {
      const set = shared.get(name);
      if (set === undefined || left.size === 0) continue;
      yield { action: "delete-elements", set, elements: [...left.values()] };
    }
    for (const { name, rules } of chains.values()) {
      if (rules.length > 0) yield* this.#empty(name);
    }
    for (const set of sets.values()) yield { action: "delete-set", set };
    for (const { name, base } of chains.values()) {
      // Nothing can lead to a base chain.
      if (removesChains || base !== null) yield { action: "delete-chain", name };
      else stale?.(name);
    }
  }

  /** Makes a set, anew where it is of another type, which only sets of clients can come to be. */
  *#set(set: SetDeclaration): Generator<Operation> {
    const { sets } = this.#current;
    const present = sets.get(set.name);
    sets.delete(set.name);
    if (present !== undefined) {
      if (isSameSet(present, set)) return;
      for (const chain of this.#current.chainsUsing(set.name)) yield* this.#empty(chain);
      yield { action: "delete-set", set: present };
    }
    yield { action: "add-set", set };
  }

  /** Makes a chain; returns whether it has to be filled. Its rules may be read when asked for. */
  *#needsRules(wanted: Chain): Generator<Operation, boolean> {
    const { name, base, comment } = wanted;
    const { chains } = this.#current;
    const present = chains.get(name);
    chains.delete(name);
    if (present !== undefined) {
      const { rules } = present;
      const isOther = !isSameBase(present.base, base);
      if (!isOther && !this.#emptied.has(name) && haveSameRules(rules, wanted.rules)) return false;
      if (rules.length > 0) yield* this.#empty(name);
      if (!isOther) return true;
      yield { action: "delete-chain", name };
    }
    yield { action: "add-chain", name, base, comment };
    return true;
  }

  *#empty(name: string): Generator<Operation> {
    if (this.#emptied.has(name)) return;
    this.#emptied.add(name);
    yield { action: "flush-chain", name };
  }

  *#elements(name: string, wanted: readonly Element[]): Generator<Operation> {
    const set = this.#shared.get(name)!;
    const present = this.#current.elements.get(name);
    const changed: Element[] = [];
    const added: Element[] = [];
    for (const element of wanted) {
      const key = keyText(element);
      if (name === SET.clusterIPs && this.#clusterIPs.has(key)) continue;
      if (name === SET.clusterIPs) this.#clusterIPs.add(key);
      const twin = present?.get(key);
      present?.delete(key);
      if (twin !== undefined && isSameElement(twin, element)) continue;
      if (twin !== undefined) changed.push(twin);
      added.push(element);
    }
    if (changed.length > 0) yield { action: "delete-elements", set, elements: changed };
    if (added.length > 0) yield { action: "add-elements", set, elements: added };
  }
}
