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

/** A rule as it stands in a text, from the begin of its line to its end; read when that is asked for. */
export interface RuleText {
  readonly chain: string;
  readonly start: number;
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
  visitSave(text, {
    table: (name, line) => tables.push({ name, line, chains: new Map(), rules: [] }),
    chain(name, chain) {
      const { chains } = tables.at(-1)!;
      if (chains.has(name)) throw new SaveTextError(chain.line, `chain ${name} is declared twice`);
      chains.set(name, chain);
    },
    rule: (rule) => tables.at(-1)!.rules.push(readRule(text, rule)),
  });
  return tables;
}

/** Like {@link parseSave}, for texts too large to be kept in pieces. */
export function visitSave(text: string, visitor: SaveVisitor): void {
  let table: string | null = null;
  let number = 0;
  for (let start = 0, end: number; start <= text.length; start = end + 1) {
    number++;
    end = lineEnd(text, start);
    const line = text.slice(start, end);
    if (line.trim() === "" || line.startsWith("#")) continue;
    if (line.startsWith("*")) {
      if (table !== null) throw new SaveTextError(number, `${line} before COMMIT of ${table}`);
      table = line.slice(1).trim();
      visitor.table(table, number);
      continue;
    }
    if (table === null) throw new SaveTextError(number, `expected *TABLE, not ${shown(line)}`);
    if (line.trim() === "COMMIT") {
      table = null;
    } else if (line.startsWith(":")) {
      visitor.chain(...parseChain(line, number));
    } else {
      const rule = findRule(text, start, number);
      visitor.rule(rule);
      for (; end < rule.end; number++) end = lineEnd(text, end + 1);
    }
  }
  if (table !== null) throw new SaveTextError(number, `table ${table} has no COMMIT`);
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

/** Finds the end of the rule that begins with a line; it may go on over further lines. */
function findRule(text: string, start: number, number: number): RuleText {
  let end = lineEnd(text, start);
  const line = text.slice(start, end);
  const head = RULE.exec(line);
  if (head === null) {
    throw new SaveTextError(number, `expected -A CHAIN …, not ${shown(line)}`);
  }
  let closed = !line.includes('"') || splitWords(line.slice(head[0].length)) !== null;
  while (!closed) {
    if (end === text.length) throw new SaveTextError(number, "a quote is not closed");
    const next = lineEnd(text, end + 1);
    const quotes = text.slice(end + 1, next).includes('"');
    end = next;
    closed = quotes && splitWords(text.slice(start + head[0].length, end)) !== null;
  }
  return { chain: head[3], start, end, line: number };
}

/** Reads a rule of the text that it was found in. */
export function readRule(text: string, { start, end, line }: RuleText): SaveRule {
  const whole = text.slice(start, end);
  const [head, packets, bytes, chain] = RULE.exec(whole)!;
  const rule = { chain, tokens: splitWords(whole.slice(head.length))!, line };
  return packets === undefined ? rule : { ...rule, counters: toCounters(packets, bytes) };
}

/** Reads rules of a text that stand one behind the other. Their lines are counted from the first. */
export function* rulesBetween(text: string, start: number, end: number): Generator<SaveRule> {
  for (let at = start, line = 1; at < end; line++) {
    const rule = findRule(text, at, line);
    yield readRule(text, rule);
    at = rule.end + 1;
  }
}

function toCounters(packets: string, bytes: string): Counters {
  return { packets: BigInt(packets), bytes: BigInt(bytes) };
}

function shown(line: string): string {
  return JSON.stringify(line.length > 80 ? `${line.slice(0, 80)}…` : line);
}

/** Splits text into words as iptables-restore does; null when a quote is not closed. */
export function splitWords(text: string): string[] | null {
  if (!text.includes('"')) return text.split(/[ \t]+/).filter((word) => word !== "");
  const words: string[] = [];
  let word = "";
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (quoted) {
      if (char === "\\") {
        if (++i < text.length) word += text[i];
      } else if (char === '"') {
        words.push(word);
        word = "";
        quoted = false;
      } else {
        word += char;
      }
    } else if (char === '"') {
      quoted = true;
    } else if (char === " " || char === "\t" || char === "\n") {
      if (word !== "") words.push(word);
      word = "";
    } else {
      word += char;
    }
  }
  if (quoted) return null;
  if (word !== "") words.push(word);
  return words;
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

/** Writes tables in iptables-save's form: what {@link parseSave} reads back as the same. */
export function formatSave(tables: readonly SaveTable[]): string {
  const lines: string[] = [];
  for (const table of tables) {
    lines.push(`*${table.name}`);
    for (const [name, { policy, counters }] of table.chains) {
      lines.push(
        `:${name} ${policy ?? "-"}${counters === null ? "" : ` ${formatCounters(counters)}`}`,
      );
    }
    for (const { chain, tokens, counters } of table.rules) {
      const prefix = counters === undefined ? "" : `${formatCounters(counters)} `;
      const words = tokens.length === 0 ? "" : ` ${joinWords(tokens)}`;
      lines.push(`${prefix}-A ${chain}${words}`);
    }
    lines.push("COMMIT");
  }
  return lines.map((line) => `${line}\n`).join("");
}

function formatCounters({ packets, bytes }: Counters): string {
  return `[${packets}:${bytes}]`;
}
