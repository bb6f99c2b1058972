/**
 * Reading a node's rules and writing to them, by iptables-save and iptables-restore.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import {
  type Execution,
  MOST_WAITING,
  programName,
  type ProgramRunner,
  type Programs,
} from "./programs.ts";
import { type NodeRules, RulesReader } from "./read.ts";
import { NFT_CHAINS } from "./transaction_text.ts";

/** The effects of the data plane on a node's rules. */
export interface RulesAccess {
  /** Chains of one transaction beyond which several are faster. */
  readonly chainLimit: number;
  /** iptables-save's text of all tables. */
  read(family: Family): Promise<string>;
  /** The same, told in pieces as it comes. */
  readPieces(family: Family, take: (piece: string) => void): Promise<void>;
  /**
   * Carries out restore text, whole or in pieces that are made meanwhile and may be empty; a table
   * whose COMMIT is not reached stays as it was.
   */
  restore(family: Family, text: string | Iterable<string>): Promise<void>;
  /** The rules of one chain, as lines of `iptables -S`; null when there is no such chain. */
  listChain(family: Family, table: string, chain: string): Promise<string | null>;
}

/** Reads what a node has. Rejects as {@link RulesAccess.read} does, and with `SaveTextError`. */
export async function readNodeRules(access: RulesAccess, family: Family): Promise<NodeRules> {
  const reader = new RulesReader(family);
  await access.readPieces(family, (piece) => reader.push(piece));
  return reader.end();
}

/** iptables-restore refused a text. What tables were before the refused line's stays done. */
export class RestoreError extends Error {
  override readonly name = "RestoreError";

  constructor(
    readonly family: Family,
    /** The refused line, 1-based; null when iptables named none. */
    readonly line: number | null,
    message: string,
  ) {
    super(message);
  }
}

/** Seconds to wait for the lock of legacy iptables, as kube-proxy does. */
const LOCK_WAIT = "5";

/** Exit status; others are for bad arguments, missing tables, the lock or a signal. */
const NO_SUCH_CHAIN = 1;

/** Works on the rules of a node by its programs. */
export class NodeRulesAccess implements RulesAccess {
  readonly #runner: ProgramRunner;
  readonly #programs: Programs;
  readonly chainLimit: number;

  constructor(runner: ProgramRunner, programs: Programs) {
    this.chainLimit = programs.backend === "nft" ? NFT_CHAINS : Infinity;
    this.#runner = runner;
    this.#programs = programs;
  }

  async read(family: Family): Promise<string> {
    const pieces: string[] = [];
    await this.readPieces(family, (piece) => pieces.push(piece));
    return pieces.join("");
  }

  async readPieces(family: Family, take: (piece: string) => void): Promise<void> {
    const program = programName(this.#programs, family, "-save");
    const result = await this.#runner.run(program, [], undefined, take);
    if (result.code !== 0) throw new Error(`${program} ${endOf(result)}`);
  }

  async restore(family: Family, text: string | Iterable<string>): Promise<void> {
    const program = programName(this.#programs, family, "-restore");
    const args = ["-w", LOCK_WAIT, "--noflush", "--counters"];
    const lines = new LatestLines();
    const pieces = lines.through(typeof text === "string" ? [text] : text);
    const result = await this.#runner.run(program, args, pieces);
    if (result.code === 0 && !lines.complete) {
      throw new RestoreError(family, null, `${program} ended without reading all rules`);
    }
    if (result.code !== 0) throw restoreError(family, program, result, (line) => lines.at(line));
  }

  async listChain(family: Family, table: string, chain: string): Promise<string | null> {
    const program = programName(this.#programs, family, "");
    const result = await this.#runner.run(program, ["-w", LOCK_WAIT, "-t", table, "-S", chain]);
    if (result.code === 0) return result.stdout;
    // What it says differs between versions.
    if (result.code === NO_SUCH_CHAIN) return null;
    throw new Error(`${program} ${endOf(result)}`);
  }
}

/**
 * Characters of a text by which the end of what was written may be ahead of a refused line: what
 * waits to be read, here and in the pipe, a piece, and a transaction.
 */
const LATEST = 4 * MOST_WAITING;

/** Remembers the end of a text that goes by. */
export class LatestLines {
  /** Whether all has gone by. */
  complete = false;
  readonly #pieces: { readonly text: string; readonly firstLine: number }[] = [];
  #line = 1;
  /** Characters of all pieces but the first. */
  #behind = 0;

  constructor(readonly latest = LATEST) {}

  /** The same pieces, each of whole lines. */
  *through(pieces: Iterable<string>): Generator<string> {
    for (const text of pieces) {
      if (text !== "") this.#note(text);
      yield text;
    }
    this.complete = true;
  }

  /** A line without its end; undefined for one that is too long ago, or did not come. */
  at(line: number): string | undefined {
    const piece = this.#pieces.findLast(({ firstLine }) => firstLine <= line);
    return piece?.text.split("\n")[line - piece.firstLine];
  }

  #note(text: string): void {
    if (this.#pieces.length > 0) this.#behind += text.length;
    this.#pieces.push({ text, firstLine: this.#line });
    for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) this.#line++;
    while (this.#behind > this.latest) {
      this.#pieces.shift();
      this.#behind -= this.#pieces[0].text.length;
    }
  }
}

/** Finds the refused line in what iptables-restore said, whose wording differs between versions. */
export function restoreError(
  family: Family,
  program: string,
  result: Execution,
  contentOf: (line: number) => string | undefined,
): RestoreError {
  const match = /\bline:? (\d+)/.exec(result.stderr);
  const line = match === null ? null : Number(match[1]);
  const content = line === null ? undefined : contentOf(line);
  const where = line === null ? "" : ` line ${line}${content ? ` (${content})` : ""}`;
  const end = where === "" ? endOf(result) : `refused${where}: ${reasonOf(result)}`;
  return new RestoreError(family, line, `${program} ${end}`);
}

/** How a program ended that did not do what it should. */
function endOf(result: Execution): string {
  return result.signal === null ? `failed: ${reasonOf(result)}` : `was killed by ${result.signal}`;
}

/** The telling part of a program's errors, on one line. */
function reasonOf({ code, stderr }: Execution): string {
  const text = stderr.split("\n").map((line) => line.trim()).filter((line) =>
    line !== "" && !/^(Try `|Error occurred at line|Ignoring deprecated)/.test(line)
  ).join(" ")
    .replace(/^ip6?tables\S*(?: v[\d.]+ \(\w+\))?: ?/, "")
    .replace(/^line \d+(?: failed)?(?:: )?/, "");
  return text === "" ? `exit status ${code}` : `${text} (exit status ${code})`;
}
