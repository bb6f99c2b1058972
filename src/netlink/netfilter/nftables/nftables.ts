/**
 * nf_tables in the kernel, without the nft program: tables, chains, rules, sets and elements as
 * plain data, changed in batches and read back.
 *
 * ```ts
 * using nftables = Nftables.open();
 * const generation = nftables.generation();
 * const chain = { family: "ip", table: "t", chain: "c" } as const;
 * nftables.commit([
 *   { kind: "add table", table: chain },
 *   { kind: "add chain", chain },
 *   { kind: "append rule", rule: { ...chain, expressions: [{ kind: "counter" }] } },
 * ], { generation });
 * ```
 *
 * Source: the kernel's net/netfilter/nf_tables_api.c and nfnetlink.c.
 *
 * @module
 */

import { ERRNO } from "../../../linux/errno.ts";
import { malformed } from "../../error.ts";
import type { MessageFormat } from "../../format.ts";
import { type Message, NetlinkError } from "../../message.ts";
import { NETLINK_NETFILTER, NetlinkSocket } from "../../socket.ts";
import { INTEGER_TYPE } from "./datatypes.ts";
import { SET_FLAGS } from "./names.ts";
import { checkAnswers, encodeBatch, type EncodedBatch } from "./batch.ts";
import {
  CHAIN,
  ELEMENT_LIST,
  FAMILY,
  GENERATION,
  MESSAGE,
  OBJECT,
  RULE,
  SET,
  TABLE,
  type TableFamily,
} from "./formats.ts";
import {
  type Chain,
  type ChainName,
  type NamedObject,
  type NamedSet,
  readChain,
  readElements,
  readObject,
  readRule,
  readSet,
  readTable,
  type Rule,
  sameTable,
  type SetElement,
  type SetName,
  type Table,
  type TableName,
} from "./objects.ts";
import type { Operation } from "./operations.ts";

/** How often a table is read when rules of the namespace change meanwhile. */
const READ_ATTEMPTS = 3;

/**
 * Chains from which on rules are better read chain by chain. Of a whole table the kernel tells some
 * 80 rules at a time, and each time goes through all those before.
 */
const MANY_CHAINS = 25_000;

/**
 * Elements that are asked for one by one: the answers, of one page each, have to have room in the
 * receive buffer that an unprivileged process may have (net.core.rmem_max).
 */
const MOST_NUMBERED = 64;

/** Bytes of a batch for which another thread is worth it. */
const LARGE = 256 * 1024;

/** How to commit. */
export interface CommitOptions {
  /** The generation of the rules that the batch was made for: another one is refused (stale). */
  readonly generation?: number;
}

/** A set or map with what is in it. */
export type FilledSet = NamedSet & { readonly elements: readonly SetElement[] };

/** A table with all that is in it. */
export interface TableContents<R = Rule> {
  readonly table: Table;
  readonly chains: readonly Chain[];
  /** In the order of each chain, chain after chain. */
  readonly rules: readonly R[];
  readonly sets: readonly FilledSet[];
  readonly objects: readonly NamedObject[];
  /** The generation of the rules when reading began. */
  readonly generation: number;
}

/** What is made of each rule that is read; the sets of its table are known by then. */
export type RuleReader<R> = (rule: Rule, sets: ReadonlyMap<string, FilledSet>) => R;

/** nf_tables of a namespace. Calls are synchronous and throw NetlinkError or BatchError. */
export class Nftables {
  private constructor(readonly socket: NetlinkSocket) {}

  /** For the namespace that this thread is in now, wherever it goes later. */
  static open(): Nftables {
    return new Nftables(NetlinkSocket.open(NETLINK_NETFILTER, { receiveBuffer: 4 << 20 }));
  }

  /**
   * Carries out all of the operations, or throws BatchError and none is done. No operations do
   * nothing.
   */
  commit(operations: Iterable<Operation>, { generation }: CommitOptions = {}): void {
    const batch = encodeBatch(operations, generation);
    if (!batch.empty) checkAnswers(batch, this.socket.exchange(batch.datagram));
  }

  /**
   * {@link commit} of a batch that was written beforehand. While the kernel takes a large one, this
   * thread goes on; this object may not be used meanwhile.
   */
  async commitLater(batch: EncodedBatch): Promise<void> {
    if (batch.empty) return;
    const answers = batch.datagram.length < LARGE
      ? this.socket.exchange(batch.datagram)
      : await this.socket.exchangeLater(batch.datagram);
    checkAnswers(batch, answers);
  }

  /** The number of the rules' present state: every batch that changes something counts it up. */
  generation(): number {
    const [answer] = this.socket.request({
      type: MESSAGE.getGeneration,
      payload: GENERATION.encode({}, {}),
      what: "read the generation of nf_tables",
    });
    const id = answer && GENERATION.decode(answer.payload).attributes.id;
    if (id === undefined) throw malformed("the kernel told no generation of nf_tables");
    return id;
  }

  /** All tables, or those of a family. */
  tables(family?: TableFamily): Table[] {
    return this.#dump(MESSAGE.getTable, TABLE, family, {}, "list tables").map(readTable);
  }

  /** A table, or null when there is none of that name. */
  table({ family, table }: TableName): Table | null {
    const what = `read table ${family} ${table}`;
    const answer = this.#get(MESSAGE.getTable, TABLE, family, { name: table }, what);
    return answer === null ? null : readTable(answer);
  }

  /** The chains of a table, in the order in which they were made. */
  chains(table: TableName): Chain[] {
    return this.#dump(MESSAGE.getChain, CHAIN, table.family, {}, `list chains of ${table.table}`)
      .map(readChain).filter((chain) => sameTable(chain, table));
  }

  /** {@link chains} in steps, before the last of which this object may not be used otherwise. */
  *chainsSteps(table: TableName): Generator<void, Chain[], void> {
    const chains = yield* this.#steps(MESSAGE.getChain, CHAIN, table.family, {}, readChain);
    return chains.filter((chain) => sameTable(chain, table));
  }

  /** A chain, or null when there is none of that name, or no such table. */
  chain({ family, table, chain }: ChainName): Chain | null {
    const what = `read chain ${chain} of table ${family} ${table}`;
    const answer = this.#get(MESSAGE.getChain, CHAIN, family, { table, name: chain }, what);
    return answer === null ? null : readChain(answer);
  }

  /** The rules of a table, or of one of its chains, in order. */
  rules(table: TableName & { readonly chain?: string }): Rule[] {
    const filter = { table: table.table, chain: table.chain };
    return this.#dump(MESSAGE.getRule, RULE, table.family, filter, `list rules of ${table.table}`)
      .map(readRule);
  }

  /** The sets and maps of a table, those without a name in rules included. */
  sets(table: TableName): NamedSet[] {
    const filter = { table: table.table };
    return this.#dump(MESSAGE.getSet, SET, table.family, filter, `list sets of ${table.table}`)
      .map(readSet);
  }

  /** A set or map without its elements, or null when there is none of that name. */
  set({ family, table, set }: SetName): NamedSet | null {
    const what = `read set ${set} of table ${family} ${table}`;
    const answer = this.#get(MESSAGE.getSet, SET, family, { table, name: set }, what);
    return answer === null ? null : readSet(answer);
  }

  /** The elements of a set or map. ENOENT when it is missing. */
  elements({ family, table, set }: SetName): SetElement[] {
    const what = `list elements of set ${set} of table ${family} ${table}`;
    return this.#dump(MESSAGE.getElements, ELEMENT_LIST, family, { table, set }, what)
      .flatMap(readElements);
  }

  /** The counters, quotas and the like of a table that have names. */
  objects(table: TableName): NamedObject[] {
    const filter = { table: table.table };
    return this.#dump(MESSAGE.getObject, OBJECT, table.family, filter, "list objects")
      .map(readObject);
  }

  /**
   * All of a table at one moment, or null when there is none of that name. When rules change
   * meanwhile it is read anew. Where that does not help, other tables are changed all the time, and
   * it is taken as it was read; or it throws EINTR if the table itself came or went.
   */
  contents(name: TableName): TableContents | null {
    const steps = this.contentsSteps(name, (rule) => rule);
    for (;;) {
      const { done, value } = steps.next();
      if (done) return value;
    }
  }

  /**
   * {@link contents} in steps of a few milliseconds at most, before the last of which this object
   * may not be used for anything else. With `manyChains` or more, rules are read chain by chain.
   */
  *contentsSteps<R>(
    name: TableName,
    read: RuleReader<R>,
    manyChains = MANY_CHAINS,
  ): Generator<void, TableContents<R> | null, void> {
    for (let attempt = 1; attempt <= READ_ATTEMPTS; attempt++) {
      const generation = this.generation();
      const contents = yield* this.#contentsOnce(name, generation, read, manyChains);
      if (this.generation() === generation) return contents;
      const isLast = attempt === READ_ATTEMPTS;
      if (isLast && contents !== null && this.#isThere(contents.table)) return contents;
    }
    throw new NetlinkError(ERRNO.EINTR, `read table ${name.family} ${name.table}`, {
      message: `changed during each of ${READ_ATTEMPTS} attempts`,
    });
  }

  /** Whether it is still the same table. */
  #isThere(table: Table): boolean {
    return this.table(table)?.handle === table.handle;
  }

  close(): void {
    this.socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  *#contentsOnce<R>(
    name: TableName,
    generation: number,
    read: RuleReader<R>,
    manyChains: number,
  ): Generator<void, TableContents<R> | null, void> {
    const { family } = name;
    const filter = { table: name.table };
    const table = this.table(name);
    if (table === null) return null;
    try {
      const sets = new Map<string, FilledSet>();
      for (const set of yield* this.#steps(MESSAGE.getSet, SET, family, filter, readSet)) {
        const elements = this.#numbered(set) ?? (yield* this.#elementSteps(set));
        sets.set(set.set, { ...set, elements });
        yield;
      }
      const chains = yield* this.chainsSteps(name);
      const places = chains.length < manyChains ? [filter] : chains;
      const rules: R[] = [];
      for (const { table, chain } of places as readonly Partial<ChainName>[]) {
        const steps = this.#steps(
          MESSAGE.getRule,
          RULE,
          family,
          { table, chain },
          (message) => read(readRule(message), sets),
        );
        for (const rule of yield* steps) rules.push(rule);
      }
      return {
        table,
        sets: [...sets.values()],
        chains,
        rules,
        objects: this.objects(name),
        generation,
      };
    } catch (error) {
      // Gone since; the generation tells.
      if (error instanceof NetlinkError && error.errno === ERRNO.ENOENT) return null;
      throw error;
    }
  }

  *#elementSteps({ family, table, set }: SetName): Generator<void, SetElement[], void> {
    const filter = { table, set };
    const { getElements } = MESSAGE;
    const lists = yield* this.#steps(getElements, ELEMENT_LIST, family, filter, readElements);
    return lists.flat();
  }

  /**
   * The elements of a constant set whose keys are 0, 1, 2 and so on, as those that numbers are drawn
   * for are; null for another one. A list of elements has the kernel look for the set by its name
   * three times, among all of the table; asking for them by their keys, once.
   */
  #numbered(
    { family, table, set, flags, keyType, keySize, size = 0 }: NamedSet,
  ): SetElement[] | null {
    const isConstant = (flags & SET_FLAGS.constant) !== 0;
    if (!isConstant || keyType !== INTEGER_TYPE || keySize !== 4) return null;
    if (size === 0 || size > MOST_NUMBERED) return null;
    const each = Array.from({ length: size }, (_, i) => ({ key: Uint8Array.of(i, i >> 8, 0, 0) }));
    const payload = ELEMENT_LIST.encode(
      { family: FAMILY[family] },
      { table, set, elements: { each } },
    );
    const what = `read elements of set ${set} of table ${family} ${table}`;
    try {
      const found = this.socket.request({ type: MESSAGE.getElements, payload, what })
        .flatMap(readElements);
      return found.length === size ? found : null;
    } catch (error) {
      if (error instanceof NetlinkError && error.errno === ERRNO.ENOENT) return null;
      throw error;
    }
  }

  /** What all messages of a dump tell, one after the other. */
  *#steps<V extends object, T>(
    type: number,
    // deno-lint-ignore no-explicit-any
    format: MessageFormat<any, any>,
    family: TableFamily,
    filter: V,
    read: (message: Message) => T,
  ): Generator<void, T[], void> {
    const payload = format.encode({ family: FAMILY[family] }, filter);
    const what = `read nf_tables of family ${family}`;
    return yield* this.socket.dumpSteps({ type, payload, format, what }, read);
  }

  /** The one object that a request names; null when it is missing. */
  #get<V extends object>(
    type: number,
    // deno-lint-ignore no-explicit-any
    format: MessageFormat<any, any>,
    family: TableFamily,
    names: V,
    what: string,
  ): Message | null {
    const payload = format.encode({ family: FAMILY[family] }, names);
    try {
      return this.socket.request({ type, payload, format, what })[0] ?? null;
    } catch (error) {
      if (error instanceof NetlinkError && error.errno === ERRNO.ENOENT) return null;
      throw error;
    }
  }

  #dump<V extends object>(
    type: number,
    // deno-lint-ignore no-explicit-any
    format: MessageFormat<any, any>,
    family: TableFamily | undefined,
    filter: V,
    what: string,
  ): Message[] {
    return this.socket.dump({
      type,
      payload: format.encode({ family: family === undefined ? 0 : FAMILY[family] }, filter),
      format,
      what,
    });
  }
}
