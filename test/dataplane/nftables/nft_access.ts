/** Reading and changing a node's table by the program nft: what netlink is held against. */

import { type NftablesAccess, RefusedTransaction } from "../../../src/dataplane/nftables/access.ts";
import type { Chain, Table } from "../../../src/dataplane/nftables/language/ast.ts";
import { parseRuleset } from "../../../src/dataplane/nftables/language/parse.ts";
import { isOwnTable, TABLE, tableFamily } from "../../../src/dataplane/nftables/names.ts";
import type { Transaction } from "../../../src/dataplane/nftables/transaction.ts";
import { transactionPieces } from "../../../src/dataplane/nftables/transaction_text.ts";
import type { ProgramRunner } from "../../../src/dataplane/iptables/programs.ts";
import type { Family } from "../../../src/net/address.ts";

export class NftAccess implements NftablesAccess {
  readonly #runner: ProgramRunner;

  constructor(runner: ProgramRunner) {
    this.#runner = runner;
  }

  async apply(transaction: Transaction): Promise<void> {
    const text = [...transactionPieces(transaction)].join("");
    const { code, stderr } = await this.#runner.run("nft", ["-f", "-"], text);
    if (code !== 0) throw new RefusedTransaction(transaction.family, `nft: ${stderr}`);
  }

  async read(family: Family): Promise<Table | null> {
    return await this.#list("table", family);
  }

  async readAll(family: Family): Promise<readonly Table[]> {
    const { stdout } = await this.#runner.run("nft", ["list", "ruleset"]);
    const passed: readonly string[] = [tableFamily(family), "inet", "netdev"];
    return parseRuleset(stdout).tables.filter((table) => passed.includes(table.family));
  }

  async readChain(family: Family, name: string): Promise<Chain | null> {
    const table = await this.#list("chain", family, name);
    return table?.chains.find((chain) => chain.name === name) ?? null;
  }

  /** Programs tell nothing by themselves. */
  watch(): Promise<void> {
    return Promise.resolve();
  }

  /** Programs end by themselves. */
  close(): Promise<void> {
    return Promise.resolve();
  }

  async #list(what: "table" | "chain", family: Family, ...name: string[]): Promise<Table | null> {
    const args = ["list", what, tableFamily(family), TABLE, ...name];
    const { code, stdout, stderr } = await this.#runner.run("nft", args);
    if (code === 0) return parseRuleset(stdout).tables.find(isOwnTable) ?? null;
    if (stderr.includes("No such file or directory")) return null;
    throw new Error(`nft ${args.join(" ")}: ${stderr}`);
  }
}
