/**
 * Reading and changing a node's table by the program nft.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import type { Execution, ProgramRunner } from "../iptables/programs.ts";
import { type NftablesAccess, RefusedTransaction } from "./access.ts";
import type { Chain, Table } from "./language/ast.ts";
import { parseRuleset } from "./language/parse.ts";
import { isOwnTable, TABLE, tableFamily } from "./names.ts";
import type { Transaction } from "./transaction.ts";
import { transactionPieces } from "./transaction_text.ts";

/** Works on a node by its program nft. */
export class NftAccess implements NftablesAccess {
  readonly #runner: ProgramRunner;

  constructor(runner: ProgramRunner) {
    this.#runner = runner;
  }

  async apply(transaction: Transaction): Promise<void> {
    const result = await this.#runner.run("nft", ["-f", "-"], transactionPieces(transaction));
    if (result.code !== 0) {
      throw new RefusedTransaction(transaction.family, `nft -f ${endOf(result)}`);
    }
  }

  async read(family: Family): Promise<Table | null> {
    return await this.#list("table", family);
  }

  async readChain(family: Family, name: string): Promise<Chain | null> {
    const table = await this.#list("chain", family, name);
    return table?.chains.find((chain) => chain.name === name) ?? null;
  }

  async #list(what: "table" | "chain", family: Family, ...name: string[]): Promise<Table | null> {
    const args = ["list", what, tableFamily(family), TABLE, ...name];
    const result = await this.#runner.run("nft", args);
    if (result.code === 0) return parseRuleset(result.stdout).tables.find(isOwnTable) ?? null;
    if (result.stderr.includes("No such file or directory")) return null;
    throw new Error(`nft ${args.join(" ")} ${endOf(result)}`);
  }
}

/** How nft ended that did not do what it should: what it said first, without the marks below. */
function endOf({ code, signal, stderr }: Execution): string {
  if (signal !== null) return `was killed by ${signal}`;
  const [reason = ""] = stderr.split("\n").filter((line) => line.trim() !== "");
  return `failed: ${reason === "" ? "" : `${reason} `}(exit status ${code})`;
}
