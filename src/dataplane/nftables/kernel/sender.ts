/**
 * Sends transactions to the kernel, one after the other.
 *
 * @module
 */

import { BatchError, BatchWriter } from "../../../netlink/netfilter/nftables/batch.ts";
import type { Nftables } from "../../../netlink/netfilter/nftables/nftables.ts";
import { RefusedTransaction } from "../access.ts";
import type { Operation, Transaction } from "../transaction.ts";
import { compileOperation } from "./compile_operation.ts";
import type { RuleContext } from "./compile_rule.ts";
import { Preparation } from "./preparation.ts";
import { inTurns, Turns } from "./turns.ts";

/** When a transaction is large, and how large its parts are. */
export interface SenderOptions {
  /** Steps from which on a transaction is prepared in batches of its own. */
  readonly largeTransaction?: number;
  /** Messages of such a batch. */
  readonly batchMessages?: number;
}

/** Sends transactions of one network namespace. */
export class TransactionSender {
  readonly #nftables: Nftables;
  readonly #largeTransaction: number;
  readonly #batchMessages: number;
  readonly #setName = setNames();
  #sending: Promise<unknown> = Promise.resolve();

  /** Nobody else may use the socket. */
  constructor(nftables: Nftables, options: SenderOptions = {}) {
    this.#nftables = nftables;
    this.#largeTransaction = options.largeTransaction ?? 2000;
    this.#batchMessages = options.batchMessages ?? 10_000;
  }

  /**
   * Does all steps, or none. Rejects with {@link RefusedTransaction} when the kernel does not take
   * them; of a large transaction there may then be chains and sets that nothing leads to.
   */
  send(transaction: Transaction): Promise<void> {
    const sent = this.#sending.then(() => this.#send(transaction));
    this.#sending = sent.catch(() => {});
    return sent;
  }

  /** By which the kernel tells whose changes are these. */
  get port(): number {
    return this.#nftables.socket.port;
  }

  /** Ends it. What is under way is waited for. */
  async close(): Promise<void> {
    await this.#sending;
    this.#nftables.close();
  }

  async #send(transaction: Transaction): Promise<void> {
    try {
      await this.#sendParts(transaction);
    } catch (error) {
      if (!(error instanceof BatchError)) throw error;
      throw new RefusedTransaction(transaction.family, error.message);
    }
  }

  async #sendParts({ family, table, operations }: Transaction): Promise<void> {
    const context: RuleContext = { family, table, setName: this.#setName };
    const turns = new Turns();
    const whole = new BatchWriter();
    const [first, rest] = startOf(operations, this.#largeTransaction);
    let preparation: Preparation | null = null;
    if (rest !== null) {
      const chains = await inTurns(this.#nftables.chainsSteps({ family, table }));
      preparation = new Preparation(new Set(chains.map(({ chain }) => chain)));
    }
    let before = new BatchWriter();
    for (const operation of [first, rest ?? []].values().flatMap((part) => part)) {
      const batch = preparation?.takes(operation) ? before : whole;
      for (const step of compileOperation(operation, context)) batch.add(step);
      if (before.size >= this.#batchMessages) {
        await this.#nftables.commitLater(before.finish());
        before = new BatchWriter();
      }
      if (turns.over) await turns.next();
    }
    await this.#nftables.commitLater(before.finish());
    await this.#nftables.commitLater(whole.finish());
  }
}

/** So many of the operations, and what comes behind them, or null for nothing. */
function startOf(
  operations: Iterable<Operation>,
  count: number,
): [first: Operation[], rest: Iterable<Operation> | null] {
  const first: Operation[] = [];
  const iterator = operations[Symbol.iterator]();
  for (let next = iterator.next(); !next.done; next = iterator.next()) {
    first.push(next.value);
    if (first.length === count) return [first, Iterator.from(iterator)];
  }
  return [first, null];
}

/**
 * Names for sets that have none of their own, as no other process gives them. Asked for a free
 * number ("__set%d"), the kernel would look at the name of every set for each.
 */
function setNames(): RuleContext["setName"] {
  const start = `${Date.now().toString(36)}-${Deno.pid.toString(36)}`;
  let count = 0;
  return (kind) => `__${kind}-${start}-${count++}`;
}
