/**
 * Reading and changing a node's table by netlink, without the program nft.
 *
 * @module
 */

import type { Family } from "../../../net/address.ts";
import { BatchError, BatchWriter } from "../../../netlink/netfilter/nftables/batch.ts";
import { SET_FLAGS } from "../../../netlink/netfilter/nftables/names.ts";
import { type FilledSet, Nftables } from "../../../netlink/netfilter/nftables/nftables.ts";
import type { Rule as KernelRule } from "../../../netlink/netfilter/nftables/objects.ts";
import { type NftablesAccess, RefusedTransaction } from "../access.ts";
import type { Chain, Table } from "../language/ast.ts";
import { TABLE, tableFamily } from "../names.ts";
import type { Transaction } from "../transaction.ts";
import { compileTransaction } from "./compile_transaction.ts";
import { decompileRule } from "./decompile_rule.ts";
import { decompileChain, decompileTable, type PlacedRule } from "./table.ts";

/** How long one step of much work may last before others get their turn. */
const TURN_MS = 10;

/** Works on a node by netlink. Needs CAP_NET_ADMIN in its network namespace. */
export class NetlinkAccess implements NftablesAccess {
  /** What takes long has a socket of its own. */
  readonly #tables: Nftables;
  readonly #batches: Nftables;
  readonly #chains: Nftables;
  readonly #setName = setNames();
  /** Chains as they were read last, by family and name. */
  readonly #seen = new Map<string, SeenChain>();
  #writing: Promise<unknown> = Promise.resolve();
  #reading: Promise<unknown> = Promise.resolve();

  private constructor([tables, batches, chains]: readonly Nftables[]) {
    this.#tables = tables;
    this.#batches = batches;
    this.#chains = chains;
  }

  /**
   * For the namespace that this thread is in now, wherever it goes later. Throws in one line when
   * the kernel has no nf_tables.
   */
  static open(): NetlinkAccess {
    const opened: Nftables[] = [];
    try {
      for (let i = 0; i < 3; i++) opened.push(Nftables.open());
      opened[0].generation();
      return new NetlinkAccess(opened);
    } catch (error) {
      for (const nftables of opened) nftables.close();
      throw error;
    }
  }

  async apply(transaction: Transaction): Promise<void> {
    const batch = new BatchWriter();
    const turns = new Turns();
    for (const operation of compileTransaction(transaction, this.#setName)) {
      batch.add(operation);
      if (turns.over) await turns.next();
    }
    const written = this.#writing.then(() => this.#batches.commitLater(batch.finish()));
    this.#writing = written.catch(() => {});
    try {
      await written;
    } catch (error) {
      if (error instanceof BatchError) {
        throw new RefusedTransaction(transaction.family, error.message);
      }
      throw error;
    }
  }

  read(family: Family): Promise<Table | null> {
    const read = this.#reading.then(() => this.#readTable(family));
    this.#reading = read.catch(() => {});
    return read;
  }

  /** One chain; while no rules of the node changed, the same as before. */
  readChain(family: Family, name: string): Promise<Chain | null> {
    const key = `${family} ${name}`;
    const generation = this.#chains.generation();
    const seen = this.#seen.get(key);
    if (seen?.generation === generation) return Promise.resolve(seen.chain);
    const chain = this.#readChain(family, name);
    this.#seen.set(key, { generation, chain });
    return Promise.resolve(chain);
  }

  /** Ends it. What is under way is waited for. */
  async close(): Promise<void> {
    await Promise.all([this.#reading, this.#writing]);
    for (const nftables of [this.#tables, this.#batches, this.#chains]) nftables.close();
  }

  async #readTable(family: Family): Promise<Table | null> {
    const name = { family: tableFamily(family), table: TABLE };
    const steps = this.#tables.contentsSteps(name, (rule, sets): PlacedRule => ({
      chain: rule.chain,
      rule: decompileRule(rule, { family: name.family, sets }),
    }));
    const contents = await inTurns(steps);
    return contents === null ? null : decompileTable(contents, name.family);
  }

  #readChain(family: Family, name: string): Chain | null {
    const place = { family: tableFamily(family), table: TABLE, chain: name };
    const chain = this.#chains.chain(place);
    if (chain === null) return null;
    const rules = this.#chains.rules(place);
    const sets = new Map(this.#setsOf(rules).map((set) => [set.set, set]));
    const context = { family: place.family, sets };
    return decompileChain(chain, rules.map((rule) => decompileRule(rule, context)));
  }

  /** The sets that rules look into, filled where they have no name of their own. */
  #setsOf(rules: readonly KernelRule[]): FilledSet[] {
    return rules.flatMap(({ expressions, family, table }) =>
      expressions.flatMap((expression): FilledSet[] => {
        if (!("set" in expression) || expression.set === undefined) return [];
        const set = this.#chains.set({ family, table, set: expression.set });
        if (set === null) return [];
        const anonymous = (set.flags & SET_FLAGS.anonymous) !== 0;
        return [{ ...set, elements: anonymous ? this.#chains.elements(set) : [] }];
      })
    );
  }
}

interface SeenChain {
  readonly generation: number;
  readonly chain: Chain | null;
}

/**
 * Names for sets that have none of their own, as no other process gives them. Asked for a free
 * number ("__set%d"), the kernel would look at the name of every set for each.
 */
function setNames(): (kind: "set" | "map") => string {
  const start = `${Date.now().toString(36)}-${Deno.pid.toString(36)}`;
  let count = 0;
  return (kind) => `__${kind}-${start}-${count++}`;
}

/** What steps return; others have their turn in between. */
async function inTurns<T>(steps: Generator<void, T, void>): Promise<T> {
  for (const turns = new Turns();;) {
    const { done, value } = steps.next();
    if (done) return value;
    if (turns.over) await turns.next();
  }
}

/** Lets others have their turn in the midst of much work. */
class Turns {
  #end = performance.now() + TURN_MS;

  /** Whether it is time. */
  get over(): boolean {
    return performance.now() >= this.#end;
  }

  /** Goes on when others had theirs. */
  async next(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 0));
    this.#end = performance.now() + TURN_MS;
  }
}
