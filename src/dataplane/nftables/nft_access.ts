/**
 * Reading and changing a node's table by the program nft.
 *
 * @module
 */

import { setImmediate } from "node:timers";
import type { Family } from "../../net/address.ts";
import { MemoryFile } from "../../linux/memory_file.ts";
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

  /** nft reads a file: it would take as all there is what came before this process was killed. */
  async apply(transaction: Transaction): Promise<void> {
    using file = MemoryFile.create("nft");
    for (const part of inLargeParts(transactionPieces(transaction))) {
      file.write(part);
      await new Promise((resolve) => setImmediate(resolve));
    }
    const result = await this.#runner.run("nft", ["-f", file.path]);
    if (result.code !== 0) {
      throw new RefusedTransaction(transaction.family, `nft ${endOf(result)}`);
    }
  }

  async read(family: Family): Promise<Table | null> {
    return await this.#list("table", family);
  }

  async readChain(family: Family, name: string): Promise<Chain | null> {
    const table = await this.#list("chain", family, name);
    return table?.chains.find((chain) => chain.name === name) ?? null;
  }

  /** Programs end by themselves. */
  close(): Promise<void> {
    return Promise.resolve();
  }

  async #list(what: "table" | "chain", family: Family, ...name: string[]): Promise<Table | null> {
    const args = ["list", what, tableFamily(family), TABLE, ...name];
    const result = await this.#runner.run("nft", args);
    if (result.code === 0) return parseRuleset(result.stdout).tables.find(isOwnTable) ?? null;
    if (result.stderr.includes("No such file or directory")) return null;
    throw new Error(`nft ${args.join(" ")} ${endOf(result)}`);
  }
}

/** Characters that are made and written at once: what else is to be done waits meanwhile. */
const PART = 1 << 16;

function* inLargeParts(pieces: Iterable<string>): Generator<string> {
  let part = "";
  for (const piece of pieces) {
    part += piece;
    if (part.length < PART) continue;
    yield part;
    part = "";
  }
  if (part !== "") yield part;
}

/** How nft ended that did not do what it should, with the step that it names, which is line two. */
function endOf({ code, signal, stderr }: Execution): string {
  if (signal !== null) return `was killed by ${signal}`;
  const [first = "", step = ""] = stderr.split("\n").filter((line) => line.trim() !== "");
  const [, line, reason] = PLACE.exec(first) ?? [];
  if (line === undefined) return `failed: ${first === "" ? "" : `${first} `}(exit status ${code})`;
  const shown = step.length > LONGEST_STEP ? `${step.slice(0, LONGEST_STEP)}…` : step;
  return `refused line ${line} (${shown.trim()}): ${reason} (exit status ${code})`;
}

/** What nft puts in front of its reasons: the file, lines and columns. */
const PLACE = /^\/proc\/\d+\/fd\/\d+:(\d+):[\d-]+: (?:Error: )?(.*)$/;

/** Characters of a step that are shown. */
const LONGEST_STEP = 200;
