/**
 * Reading and changing a node's table by netlink, without the program nft.
 *
 * @module
 */

import { FAMILIES, type Family } from "../../../net/address.ts";
import { SET_FLAGS } from "../../../netlink/netfilter/nftables/names.ts";
import { type FilledSet, Nftables } from "../../../netlink/netfilter/nftables/nftables.ts";
import type { Rule as KernelRule } from "../../../netlink/netfilter/nftables/objects.ts";
import { TableWatch } from "../../../netlink/netfilter/nftables/watch.ts";
import type { NftablesAccess, ReadTable } from "../access.ts";
import type { Chain, Table } from "../language/ast.ts";
import { isOwnTable, TABLE, tableFamily } from "../names.ts";
import type { Transaction } from "../transaction.ts";
import { decompileRule } from "./decompile_rule.ts";
import { type SenderOptions, TransactionSender } from "./sender.ts";
import { decompileChain, decompileTable, type PlacedRule } from "./table.ts";
import { TableReader } from "./table_reader.ts";
import { inTurns } from "./turns.ts";

/** Rules that are read of a table of others. */
const MOST_RULES = 20_000;

/** Works on a node by netlink. Needs CAP_NET_ADMIN in its network namespace. */
export class NetlinkAccess implements NftablesAccess {
  /** What takes long has a socket of its own. */
  readonly #tables: Nftables;
  readonly #reader: TableReader;
  readonly #chains: Nftables;
  readonly #sender: TransactionSender;
  /** Chains as they were read last, by family and name. */
  readonly #seen = new Map<string, SeenChain>();
  #reading: Promise<unknown> = Promise.resolve();
  readonly #watch: TableWatch;

  private constructor(
    tables: Nftables,
    chains: Nftables,
    sender: TransactionSender,
    watch: TableWatch,
  ) {
    this.#watch = watch;
    this.#tables = tables;
    this.#reader = new TableReader(tables);
    this.#chains = chains;
    this.#sender = sender;
  }

  /**
   * For the namespace that this thread is in now, wherever it goes later. Throws in one line when
   * the kernel has no nf_tables.
   */
  static open(options: SenderOptions = {}): NetlinkAccess {
    const opened: (Nftables | TableWatch)[] = [];
    const open = <T extends Nftables | TableWatch>(one: T): T => {
      opened.push(one);
      return one;
    };
    try {
      const [tables, chains, batches] = [0, 1, 2].map(() => open(Nftables.open()));
      const watch = open(TableWatch.open());
      tables.generation();
      return new NetlinkAccess(tables, chains, new TransactionSender(batches, options), watch);
    } catch (error) {
      for (const one of opened) one.close();
      throw error;
    }
  }

  apply(transaction: Transaction): Promise<void> {
    return this.#sender.send(transaction);
  }

  read(family: Family): Promise<Table | null> {
    return this.#inOrder(() => this.#readTable(family));
  }

  readAll(family: Family): Promise<readonly ReadTable[]> {
    return this.#inOrder(() => this.#readTables(family));
  }

  /** One after the other, as the socket is for one only. */
  #inOrder<T>(read: () => Promise<T>): Promise<T> {
    const result = this.#reading.then(read);
    this.#reading = result.catch(() => {});
    return result;
  }

  /** One chain; while no rules of the node changed, the same as before. */
  readChain(family: Family, name: string): Promise<Chain | null> {
    return Promise.try(() => this.#chainOf(family, name));
  }

  async watch(changed: (family: Family | null) => void): Promise<void> {
    for await (const name of this.#watch.changes(this.#sender.port)) {
      if (name === null) changed(null);
      else if (name.table === TABLE) {
        const family = FAMILIES.find((one) => tableFamily(one) === name.family);
        if (family !== undefined) changed(family);
      }
    }
  }

  /** Ends it. What is under way is waited for. */
  async close(): Promise<void> {
    this.#watch.close();
    await Promise.all([this.#reading, this.#sender.close()]);
    this.#tables.close();
    this.#chains.close();
  }

  async #readTable(family: Family): Promise<Table | null> {
    const name = { family: tableFamily(family), table: TABLE };
    const steps = this.#tables.contentsSteps(name, (rule, sets): PlacedRule => ({
      chain: rule.chain,
      rule: decompileRule(rule, { family: name.family, sets }),
    }));
    const contents = await inTurns(steps);
    return contents === null ? null : decompileTable(contents);
  }

  async #readTables(family: Family): Promise<readonly ReadTable[]> {
    const passed = [tableFamily(family), "inet", "netdev"];
    const found: ReadTable[] = [];
    for (const table of this.#tables.tables()) {
      if (!passed.includes(table.family)) continue;
      const isOwn = isOwnTable({ family: table.family, name: table.table });
      const read = await this.#reader.read(table, isOwn ? Infinity : MOST_RULES);
      if (read !== null) found.push(read);
    }
    return found;
  }

  #chainOf(family: Family, name: string): Chain | null {
    const key = `${family} ${name}`;
    const generation = this.#chains.generation();
    const seen = this.#seen.get(key);
    if (seen?.generation === generation) return seen.chain;
    const chain = this.#readChain(family, name);
    this.#seen.set(key, { generation, chain });
    return chain;
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
