/**
 * A node's nf_tables in memory, as strict as the kernel about what leads to what; for what becomes of
 * packets there are the scenarios.
 */

import { type NftablesAccess, RefusedTransaction } from "../../../src/dataplane/nftables/access.ts";
import type {
  Chain,
  Element,
  Statement,
  Table,
  Verdict,
} from "../../../src/dataplane/nftables/language/ast.ts";
import { TABLE, tableFamily } from "../../../src/dataplane/nftables/names.ts";
import { isSameElement, isSameSet, keyText } from "../../../src/dataplane/nftables/same.ts";
import type {
  Operation,
  SetDeclaration,
  Transaction,
} from "../../../src/dataplane/nftables/transaction.ts";
import type { Family } from "../../../src/net/address.ts";

/** The tables kube-proxy of one node. */
export class FakeNode implements NftablesAccess {
  readonly tables = new Map<"ip" | "ip6", Table>();
  /** Every transaction that was taken. */
  readonly applied: Operation[][] = [];
  /** Refuses the next transactions. */
  refusals = 0;
  reads = 0;

  apply({ family, table, operations }: Transaction): Promise<void> {
    const steps = [...operations];
    try {
      if (table !== TABLE) throw new Error(`table ${table}`);
      if (this.refusals > 0) {
        this.refusals--;
        throw new Error("told to refuse");
      }
      const draft = new Draft(family, this.tables.get(family) ?? null);
      for (const step of steps) draft.apply(step);
      const result = draft.result();
      if (result === null) this.tables.delete(family);
      else this.tables.set(family, result);
      this.applied.push(steps);
      return Promise.resolve();
    } catch (error) {
      return Promise.reject(new RefusedTransaction(family, String(error)));
    }
  }

  read(family: Family): Promise<Table | null> {
    this.reads++;
    return Promise.resolve(this.tables.get(tableFamily(family)) ?? null);
  }

  async readAll(family: Family): Promise<readonly Table[]> {
    const table = await this.read(family);
    return table === null ? [] : [table];
  }

  async readChain(family: Family, name: string): Promise<Chain | null> {
    const table = await this.read(family);
    return table?.chains.find((chain) => chain.name === name) ?? null;
  }

  /** Nobody else is here. */
  watch(): Promise<void> {
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

interface DraftSet {
  readonly declaration: SetDeclaration;
  readonly elements: Map<string, Element>;
}

/** A table that a transaction works on. */
class Draft {
  readonly #family: "ip" | "ip6";
  #comment: string | null | undefined;
  #chains = new Map<string, Chain>();
  #sets = new Map<string, DraftSet>();

  constructor(family: "ip" | "ip6", table: Table | null) {
    this.#family = family;
    this.#comment = table?.comment;
    for (const chain of table?.chains ?? []) this.#chains.set(chain.name, chain);
    for (const { elements, handle: _, ...declaration } of table?.sets ?? []) {
      this.#sets.set(declaration.name, {
        declaration,
        elements: new Map(elements.map((element) => [keyText(element), element])),
      });
    }
  }

  /** Null: there is no table. */
  result(): Table | null {
    if (this.#comment === undefined) return null;
    return {
      family: this.#family,
      name: TABLE,
      comment: this.#comment,
      flags: [],
      handle: null,
      chains: [...this.#chains.values()],
      sets: [...this.#sets.values()].map(({ declaration, elements }) => ({
        ...declaration,
        handle: null,
        elements: [...elements.values()],
      })),
      objects: [],
    };
  }

  apply(step: Operation): void {
    if (step.action === "add-table") {
      if (this.#comment === undefined) this.#comment = step.comment;
      return;
    }
    if (this.#comment === undefined) throw new Error(`${step.action} without a table`);
    switch (step.action) {
      case "delete-table":
        this.#comment = undefined;
        this.#chains.clear();
        this.#sets.clear();
        return;
      case "add-chain": {
        const { name, base, comment } = step;
        const present = this.#chains.get(name);
        if (present === undefined) {
          this.#chains.set(name, { name, base, comment, handle: null, rules: [] });
        } else if (JSON.stringify(present.base) !== JSON.stringify(base)) {
          throw new Error(`chain ${name} has another base`);
        }
        return;
      }
      case "flush-chain":
        this.#chains.set(step.name, { ...this.#chain(step.name), rules: [] });
        return;
      case "delete-chain":
        if (this.#chain(step.name).rules.length > 0) throw new Error(`${step.name} has rules`);
        this.#chains.delete(step.name);
        this.#check();
        return;
      case "add-rule": {
        const chain = this.#chain(step.chain);
        for (const statement of step.rule.statements) this.#checkStatement(statement);
        this.#chains.set(chain.name, { ...chain, rules: [...chain.rules, step.rule] });
        return;
      }
      case "add-set": {
        const present = this.#sets.get(step.set.name);
        if (present === undefined) {
          this.#sets.set(step.set.name, { declaration: step.set, elements: new Map() });
        } else if (!isSameSet(present.declaration, step.set)) {
          throw new Error(`set ${step.set.name} is of another type`);
        }
        return;
      }
      case "flush-set":
        this.#set(step.set.name).elements.clear();
        return;
      case "delete-set":
        this.#set(step.set.name);
        this.#sets.delete(step.set.name);
        this.#check();
        return;
      case "add-elements":
        for (const element of step.elements) {
          const { elements } = this.#set(step.set.name);
          const present = elements.get(keyText(element));
          if (present !== undefined && !isSameElement(present, element)) {
            throw new Error(`${step.set.name} has ${keyText(element)} with other data`);
          }
          this.#checkData(element.data);
          elements.set(keyText(element), element);
        }
        return;
      case "delete-elements":
        for (const element of step.elements) {
          if (!this.#set(step.set.name).elements.delete(keyText(element))) {
            throw new Error(`${step.set.name} has no ${keyText(element)}`);
          }
        }
    }
  }

  #chain(name: string): Chain {
    const chain = this.#chains.get(name);
    if (chain === undefined) throw new Error(`there is no chain ${name}`);
    return chain;
  }

  #set(name: string): DraftSet {
    const set = this.#sets.get(name);
    if (set === undefined) throw new Error(`there is no set ${name}`);
    return set;
  }

  /** Nothing leads to what is not there. */
  #check(): void {
    for (const { rules } of this.#chains.values()) {
      for (const { statements } of rules) statements.forEach((one) => this.#checkStatement(one));
    }
    for (const { elements } of this.#sets.values()) {
      for (const { data } of elements.values()) this.#checkData(data);
    }
  }

  #checkStatement(statement: Statement): void {
    switch (statement.kind) {
      case "verdict":
        return this.#checkData(statement.verdict);
      case "vmap":
        if (statement.map.kind === "reference") this.#set(statement.map.name);
        else for (const { data } of statement.map.elements) this.#checkData(data);
        return;
      case "match":
        if (statement.right.kind === "reference") this.#set(statement.right.name);
        return;
      case "update":
        this.#set(statement.set);
    }
  }

  #checkData(data: Element["data"] | Verdict): void {
    if (data?.kind === "goto" || data?.kind === "jump") this.#chain(data.chain);
  }
}
