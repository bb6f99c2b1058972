/**
 * Notices, without reading all rules, that someone flushed the tables: an empty chain of ours in each
 * of them is gone then or, when the chains were only emptied, the jumps to ours are.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import type { RulesAccess } from "./apply.ts";
import { CHAIN } from "./names.ts";
import { NODE_TABLES, type NodeTableName } from "./read.ts";
import type { TableName } from "./rules.ts";

/** How long a flush that has begun is waited for, milliseconds. */
const FLUSH_LIMIT_MS = 5000;
const FLUSH_POLL_MS = 100;
/** How long after a table was found emptied others may follow, milliseconds. */
const SETTLING_MS = 500;

/** One jump of each table with rules; who empties a table takes it. */
const WATCHED_JUMPS: readonly { table: TableName; chain: string; to: string }[] = [
  { table: "nat", chain: "POSTROUTING", to: CHAIN.postrouting },
  { table: "filter", chain: "FORWARD", to: CHAIN.forward },
];

/**
 * A jump is looked for again only after this many times what it took: legacy iptables reads a table
 * whole, and keeps the lock meanwhile, to show one chain.
 */
const REST = 100;

/** Watches over the tables of one family. */
export class FlushWatch {
  readonly #access: Pick<RulesAccess, "listChain">;
  readonly #clock: WatchClock;
  /** When jumps may be looked for again, by the table. */
  readonly #rested = new Map<TableName, number>();

  constructor(
    readonly family: Family,
    access: Pick<RulesAccess, "listChain">,
    clock: WatchClock = SYSTEM,
  ) {
    this.#access = access;
    this.#clock = clock;
  }

  /**
   * Whether the tables, or one of them, were flushed. Others may follow: waits for them, so that new
   * rules do not fall to the same flush, until the canaries are gone from every table, but no longer
   * than five seconds.
   */
  async flushed(): Promise<boolean> {
    const { sleep } = this.#clock;
    if (await this.#hasCanary("mangle")) {
      if (await this.#leadToOurs()) return false;
      await sleep(SETTLING_MS);
      if (await this.#hasCanary("mangle")) return true;
    }
    for (let waited = 0; waited < FLUSH_LIMIT_MS; waited += FLUSH_POLL_MS) {
      const left = await Promise.all(NODE_TABLES.map((table) => this.#hasCanary(table)));
      if (left.every((there) => !there)) break;
      await sleep(FLUSH_POLL_MS);
    }
    return true;
  }

  async #hasCanary(table: NodeTableName): Promise<boolean> {
    return await this.#access.listChain(this.family, table, CHAIN.canary) !== null;
  }

  async #leadToOurs(): Promise<boolean> {
    for (const { table, chain, to } of WATCHED_JUMPS) {
      const begun = this.#clock.now();
      if (begun < (this.#rested.get(table) ?? 0)) continue;
      const rules = await this.#access.listChain(this.family, table, chain) ?? "";
      const ended = this.#clock.now();
      this.#rested.set(table, ended + REST * (ended - begun));
      if (!rules.split("\n").some((rule) => rule.endsWith(` -j ${to}`))) return false;
    }
    return true;
  }
}

/** Time, milliseconds. */
export interface WatchClock {
  now(): number;
  sleep(ms: number): Promise<void>;
}

const SYSTEM: WatchClock = {
  now: () => performance.now(),
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
};
