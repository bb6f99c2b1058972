/**
 * The text that iptables-save writes and iptables-restore reads.
 *
 * Words are split and quoted as iptables does it (xshared.c `add_param_to_argv`, xtables.c
 * `xtables_save_string`): double quotes group, a backslash inside them takes the next character
 * as it is, and a closing quote ends the word.
 *
 * @module
 */

/** Packet and byte counters; 64 bits wide in the kernel. */
export interface Counters {
  readonly packets: bigint;
  readonly bytes: bigint;
}

/** A chain as its `:NAME POLICY [packets:bytes]` line declares it. */
export interface SaveChain {
  /** "ACCEPT" or "DROP" on built-in chains, null on all others. */
  readonly policy: string | null;
  readonly counters: Counters | null;
  readonly line: number;
}

/** One `-A CHAIN …` line. */
export interface SaveRule {
  readonly chain: string;
  /** The words after the chain, unquoted. */
  readonly tokens: readonly string[];
  /** Present when the text was saved with counters. */
  readonly counters?: Counters;
  /** 1-based. */
  readonly line: number;
}

/** One table, from its `*NAME` line to its COMMIT. */
export interface SaveTable {
  readonly name: string;
  readonly line: number;
  /** In the order of declaration. */
  readonly chains: Map<string, SaveChain>;
  /** In the order of the text. */
  readonly rules: SaveRule[];
}

/** Text that iptables-save would not write; the message names the line. */
export class SaveTextError extends Error {
  override readonly name = "SaveTextError";

  /** @param line 1-based. */
  constructor(readonly line: number, problem: string) {
    super(`line ${line}: ${problem}`);
  }
}

const COUNTERS = /^\[(\d+):(\d+)\]$/;
const RULE = /^(?:\[(\d+):(\d+)\] )?-A (\S+)(?: |$)/;

/** Is told what a text has, in its order. */
export interface SaveVisitor {
  table(name: string, line: number): void;
  chain(name: string, chain: SaveChain): void;
  rule(rule: RuleText): void;
}

/** A rule as it stands in a text, where its words are not looked at yet. */
export interface RuleText {
  readonly chain: string;
  readonly text: string;
  /** Begin of its line. */
  readonly start: number;
  /** Begin of the words behind the chain. */
  readonly words: number;
  readonly end: number;
  /** 1-based. */
  readonly line: number;
}

/**
 * Reads what iptables-save or ip6tables-save wrote, several tables or none. Comment lines are
 * skipped; a quoted word may go on over line ends, because a rule's comment may contain them.
 * Throws {@link SaveTextError} with the line of the first thing that is not understood.
 */
export function parseSave(text: string): SaveTable[] {
  const tables: SaveTable[] = [];
  const reader = new SaveReader({
    table: (name, line) => tables.push({ name, line, chains: new Map(), rules: [] }),
    chain(name, chain) {
      const { chains } = tables.at(-1)!;
      if (chains.has(name)) throw new SaveTextError(chain.line, `chain ${name} is declared twice`);
      chains.set(name, chain);
    },
    rule: (rule) => tables.at(-1)!.rules.push(readRule(rule)),
  });
  reader.push(text);
  reader.end();
  return tables;
}

/**
 * Reads a text that comes in pieces, wherever these are cut, and keeps nothing of them but what the
 * last has begun. Throws as {@link parseSave} does, of each piece as it comes.
 */
export class SaveReader {
  readonly #visitor: SaveVisitor;
  #table: string | null = null;
  /** Of the line that was read last, 1-based. */
  #line = 0;
  /** The line or rule that the last piece has begun. */
  #rest = "";

  constructor(visitor: SaveVisitor) {
    this.#visitor = visitor;
  }

  push(piece: string): void {
    const text = this.#rest + piece;
    let start = 0;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", start)) {
      const read = this.#read(text, start, end, false);
      if (read < 0) break;
      start = read + 1;
    }
    this.#rest = text.slice(start);
  }

  /** The text is complete. */
  end(): void {
    const text = this.#rest;
    if (this.#read(text, 0, text.length, true) < 0) {
      throw new SaveTextError(this.#line + 1, "a quote is not closed");
    }
    if (this.#table !== null) {
      throw new SaveTextError(this.#line, `table ${this.#table} has no COMMIT`);
    }
  }

  /**
   * Reads a line, or the rule that begins with it: where that ends, −1 when it goes on behind the text.
   *
   * @param complete no more text comes, so that the last line needs no end.
   */
  #read(text: string, start: number, end: number, complete: boolean): number {
    const number = this.#line + 1;
    const line = text.slice(start, end);
    let last = end;
    if (line.trim() === "" || line.startsWith("#")) {
      // Says nothing.
    } else if (line.startsWith("*")) {
      if (this.#table !== null) {
        throw new SaveTextError(number, `${line} before COMMIT of ${this.#table}`);
      }
      this.#table = line.slice(1).trim();
      this.#visitor.table(this.#table, number);
    } else if (this.#table === null) {
      throw new SaveTextError(number, `expected *TABLE, not ${shown(line)}`);
    } else if (line.trim() === "COMMIT") {
      this.#table = null;
    } else if (line.startsWith(":")) {
      this.#visitor.chain(...parseChain(line, number));
    } else {
      const rule = findRule(text, start, number);
      if (rule === null || (rule.end === text.length && !complete)) return -1;
      this.#visitor.rule(rule);
      last = rule.end;
      for (let at = end; at < last; this.#line++) at = lineEnd(text, at + 1);
    }
    this.#line++;
    return last;
  }
}

function lineEnd(text: string, start: number): number {
  const end = text.indexOf("\n", start);
  return end < 0 ? text.length : end;
}

function parseChain(line: string, number: number): [name: string, chain: SaveChain] {
  const [name, policy, counters] = line.slice(1).trim().split(/\s+/);
  const parsed = counters === undefined ? null : COUNTERS.exec(counters);
  if (!name || policy === undefined || (counters !== undefined && parsed === null)) {
    throw new SaveTextError(number, `expected :CHAIN POLICY [packets:bytes], not ${shown(line)}`);
  }
  return [name, {
    policy: policy === "-" ? null : policy,
    counters: parsed === null ? null : toCounters(parsed[1], parsed[2]),
    line: number,
  }];
}

/** Finds the end of the rule that begins with a line; it may go on over further lines: null, behind the text. */
function findRule(text: string, start: number, number: number): RuleText | null {
  let end = lineEnd(text, start);
  const line = text.slice(start, end);
  const head = RULE.exec(line);
  if (head === null) {
    throw new SaveTextError(number, `expected -A CHAIN …, not ${shown(line)}`);
  }
  const words = start + head[0].length;
  let closed = !line.includes('"') || splitWords(line.slice(head[0].length)) !== null;
  while (!closed) {
    if (end === text.length) return null;
    const next = lineEnd(text, end + 1);
    const quotes = text.slice(end + 1, next).includes('"');
    end = next;
    closed = quotes && splitWords(text.slice(words, end)) !== null;
  }
  if (text.slice(words, end).includes("\0")) throw new SaveTextError(number, "a NUL character");
  return { chain: head[3], text, start, words, end, line: number };
}

/** Reads a rule where it stands. */
export function readRule({ text, start, words, end, line }: RuleText): SaveRule {
  const [, packets, bytes, chain] = RULE.exec(text.slice(start, words))!;
  const rule = { chain, tokens: splitWords(text.slice(words, end))!, line };
  return packets === undefined ? rule : { ...rule, counters: toCounters(packets, bytes) };
}

function toCounters(packets: string, bytes: string): Counters {
  return { packets: BigInt(packets), bytes: BigInt(bytes) };
}

function shown(line: string): string {
  return JSON.stringify(line.length > 80 ? `${line.slice(0, 80)}…` : line);
}

/** Splits text into words as iptables-restore does; null when a quote is not closed. */
export function splitWords(text: string): string[] | null {
  const words: string[] = [];
  const hasQuotes = text.includes('"');
  /** Of the word that is being read; −1 between words. */
  let start = -1;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === SPACE || code === TAB || code === LINE_END && hasQuotes) {
      if (start >= 0) words.push(text.slice(start, at));
      start = -1;
    } else if (code === QUOTE) {
      const before = start < 0 ? "" : text.slice(start, at);
      const end = closingQuote(text, at + 1);
      if (end < 0) return null;
      words.push(before + unescaped(text.slice(at + 1, end)));
      at = end;
      start = -1;
    } else if (start < 0) {
      start = at;
    }
  }
  if (start >= 0) words.push(text.slice(start));
  return words;
}

const [SPACE, TAB, LINE_END, QUOTE, BACKSLASH] = [" ", "\t", "\n", '"', "\\"]
  .map((character) => character.charCodeAt(0));

/** Where the quote is closed behind which this is; −1: it is not. */
function closingQuote(text: string, start: number): number {
  for (let at = start; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) return at;
    if (code === BACKSLASH) at++;
  }
  return -1;
}

function unescaped(quoted: string): string {
  return quoted.includes("\\") ? quoted.replace(/\\([^])/g, "$1") : quoted;
}

/** Characters of a word that needs no quotes in the text that we write. */
const PLAIN = /^[A-Za-z0-9_.,:;/@%^+=!\[\]{}()<>|&~*?$-]+$/;

/**
 * A word as iptables-restore reads it back: in quotes where it has to be. Line ends and NUL cannot
 * be written in any way; a word with one throws TypeError.
 */
export function quoteWord(word: string): string {
  if (PLAIN.test(word)) return word;
  if (/[\n\r\0]/.test(word)) {
    throw new TypeError(`cannot be written as a word of a rule: ${JSON.stringify(word)}`);
  }
  return `"${word.replace(/["\\]/g, "\\$&")}"`;
}

/** Words as one line, each quoted where it has to be. */
export function joinWords(words: readonly string[]): string {
  return words.map(quoteWord).join(" ");
}
