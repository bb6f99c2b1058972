/**
 * The rule set of one IP family, as data: what there is once, and what each Service adds, so that one
 * Service's part can be replaced.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import type { Chain, Element, Table } from "./language/ast.ts";
import { type SetName, TABLE, TABLE_COMMENT, tableFamily } from "./names.ts";
import type { NftablesContext } from "./options.ts";
import type { SetDeclaration } from "./transaction.ts";

/** What is there whatever Services there are. */
export interface Head {
  /** Base chains first. */
  readonly chains: readonly Chain[];
  readonly sets: readonly SetDeclaration[];
  /** What is in the sets without any Service. */
  readonly elements: ReadonlyMap<SetName, readonly Element[]>;
}

/** What one Service adds. */
export interface ServiceParts {
  /** Chains of its own. */
  readonly chains: readonly Chain[];
  /** The sets in which clients of its endpoints are remembered. */
  readonly affinitySets: readonly SetDeclaration[];
  /** Elements of the sets and maps that Services share. */
  readonly elements: ReadonlyMap<SetName, readonly Element[]>;
}

/** What one Service adds, made when it is asked for. */
export interface Fragment {
  render(): ServiceParts;
  /** Whether the address is one of its cluster IPs. */
  hasClusterIP(address: string): boolean;
}

/** All rules of one family. */
export interface RuleSet {
  readonly family: Family;
  readonly context: NftablesContext;
  readonly head: Head;
  /** By "namespace/name", sorted by it. */
  readonly services: ReadonlyMap<string, Fragment>;
}

/** A chain with these rules. */
export function chain(
  name: string,
  rules: Chain["rules"],
  rest: Partial<Pick<Chain, "base" | "comment">> = {},
): Chain {
  return { name, rules, base: null, comment: null, handle: null, ...rest };
}

/** The whole table, as reading it from a node gives it; clients that sets remember left out. */
export function tableOf({ family, head, services }: RuleSet): Table {
  const chains = [...head.chains];
  const affinitySets: SetDeclaration[] = [];
  const elements = new Map<string, Map<string, Element>>();
  const collect = (parts: ReadonlyMap<SetName, readonly Element[]>) => {
    for (const [name, added] of parts) {
      let own = elements.get(name);
      if (own === undefined) elements.set(name, own = new Map());
      // Services may have a cluster IP together.
      for (const element of added) own.set(JSON.stringify(element.key), element);
    }
  };
  collect(head.elements);
  for (const service of services.values()) {
    const parts = service.render();
    chains.push(...parts.chains);
    affinitySets.push(...parts.affinitySets);
    collect(parts.elements);
  }
  return {
    family: tableFamily(family),
    name: TABLE,
    comment: TABLE_COMMENT,
    flags: [],
    handle: null,
    chains,
    sets: [...head.sets, ...affinitySets].map((set) => ({
      ...set,
      handle: null,
      elements: [...elements.get(set.name)?.values() ?? []],
    })),
    objects: [],
  };
}
