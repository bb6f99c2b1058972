/**
 * A node's tables as the evaluator asks for them: chains and sets by name, understood once.
 *
 * @module
 */

import type {
  Chain,
  NamedSet,
  Rule,
  Table,
  TableFamily,
} from "../../dataplane/nftables/language/ast.ts";
import { ruleText } from "./rule_text.ts";
import { SetIndex } from "./set_index.ts";

/** Where a table's chains and sets come from when they are asked for. */
export interface TableSource {
  readonly family: TableFamily;
  readonly name: string;
  /** Whether its base chains see no packets. */
  readonly dormant: boolean;
  /** In the order in which they were made. */
  readonly baseChains: readonly Chain[];
  chain(name: string): Chain | undefined;
  set(name: string): NamedSet | undefined;
}

/** A table that is there as a whole. */
export function wholeTable(table: Table): TableSource {
  const chains = new Map(table.chains.map((chain) => [chain.name, chain]));
  const sets = new Map(table.sets.map((set) => [set.name, set]));
  return {
    family: table.family,
    name: table.name,
    dormant: table.flags.includes("dormant"),
    baseChains: table.chains.filter(({ base }) => base !== null),
    chain: (name) => chains.get(name),
    set: (name) => sets.get(name),
  };
}

/** A rule at its place. */
export interface PlacedRule {
  readonly chain: PlacedChain;
  /** 1-based, in its chain. */
  readonly number: number;
  readonly rule: Rule;
  /** As steps tell it. */
  readonly text: string;
}

class ReadRule implements PlacedRule {
  #text: string | null = null;

  constructor(
    readonly chain: PlacedChain,
    readonly number: number,
    readonly rule: Rule,
  ) {}

  get text(): string {
    return this.#text ??= ruleText(this.rule);
  }
}

/** A chain with its rules at their places. */
export interface PlacedChain {
  readonly name: string;
  readonly base: Chain["base"];
  readonly rules: readonly PlacedRule[];
}

/** One table of a node; what was asked for is kept as long as its source has it. */
export class NodeTable {
  /** Family and name, as steps call it. */
  readonly title: string;
  readonly #chains = new WeakMap<Chain, PlacedChain>();
  readonly #sets = new WeakMap<NamedSet, SetIndex>();

  constructor(readonly source: TableSource) {
    this.title = `${source.family} ${source.name}`;
  }

  /** Undefined when the table has no such chain. */
  chain(name: string): PlacedChain | undefined {
    const chain = this.source.chain(name);
    return chain === undefined ? undefined : this.place(chain);
  }

  /** A chain of this table. */
  place(chain: Chain): PlacedChain {
    let placed = this.#chains.get(chain);
    if (placed === undefined) {
      const rules: PlacedRule[] = [];
      placed = { name: chain.name, base: chain.base, rules };
      for (const rule of chain.rules) rules.push(new ReadRule(placed, rules.length + 1, rule));
      this.#chains.set(chain, placed);
    }
    return placed;
  }

  /** Undefined when the table has no such set or map, or what it holds is not known. */
  set(name: string): SetIndex | undefined {
    const set = this.source.set(name);
    if (set === undefined || !isUnderstood(set)) return undefined;
    let index = this.#sets.get(set);
    if (index === undefined) {
      const { key, elements, flags } = set;
      const title = `${this.title} ${name}`;
      index = new SetIndex(elements, key, { name, title, dynamic: flags.includes("dynamic") });
      this.#sets.set(set, index);
    }
    return index;
  }
}

/** Of types that are not known the kernel tells numbers alone, and the set looks empty. */
function isUnderstood({ key, data }: NamedSet): boolean {
  return ![...key, ...data ?? []].some((type) => type.startsWith("type "));
}
