/**
 * The words of nft's language, one after another, without a copy of the text in pieces: dumps of
 * large clusters have millions of them.
 *
 * A word goes as far as no space or punctuation ends it: addresses with port and prefix, ranges of
 * numbers and names with dots, slashes and dashes are one word. nft takes some of these apart; what
 * reads a word here does that where it has to.
 *
 * @module
 */

/** What a token is: `end` of the text, a `line` end or semicolon, a quoted text. */
export type TokenKind = "end" | "line" | "word" | "string" | "mark";

/** Text that is not nft's; the message names the line. */
export class NftTextError extends Error {
  override readonly name = "NftTextError";

  /** @param line 1-based. */
  constructor(readonly line: number, problem: string) {
    super(`line ${line}: ${problem}`);
  }
}

/** A place in a text to return to. */
export interface Place {
  readonly position: number;
  readonly line: number;
}

const SPACE = 1, NEWLINE = 2, MARK = 3, QUOTE = 4, HASH = 5, WORD = 0;

const CLASSES = new Uint8Array(128);
for (const char of " \t\r") CLASSES[char.charCodeAt(0)] = SPACE;
CLASSES["\n".charCodeAt(0)] = NEWLINE;
for (const char of "{}(),;=!<>&|^") CLASSES[char.charCodeAt(0)] = MARK;
CLASSES['"'.charCodeAt(0)] = QUOTE;
CLASSES["#".charCodeAt(0)] = HASH;

const classOf = (code: number) => code < 128 ? CLASSES[code] : WORD;

/** Marks of two characters. */
const PAIRS = new Set(["==", "!=", "<=", ">=", "<<", ">>"]);

/** Reads tokens; the current one is in the fields. */
export class Tokens {
  kind: TokenKind = "line";
  /** The token itself; of a quoted text what is between the quotes. */
  text = "";
  /** The line it begins in, the first is 1. */
  line = 1;
  /** The number after `# handle` in the comments passed since it was last asked for. */
  #handle: number | null = null;
  /** Where the current token begins, and what follows it. */
  #start = 0;
  #next = 0;
  #nextLine = 1;

  constructor(private readonly source: string) {
    this.advance();
  }

  /** Where the current token begins. */
  get place(): Place {
    return { position: this.#start, line: this.line };
  }

  /** Goes back to a token. */
  backTo({ position, line }: Place): void {
    this.#next = position;
    this.#nextLine = line;
    this.advance();
  }

  /** Goes on to the next token. */
  advance(): void {
    const { source } = this;
    let at = this.#next;
    let kind = WORD;
    for (; at < source.length; at++) {
      const code = source.charCodeAt(at);
      kind = classOf(code);
      if (kind === SPACE) continue;
      if (kind === HASH) {
        at = this.#comment(at) - 1;
        continue;
      }
      if (code === 0x5c && source.charCodeAt(at + 1) === 0x0a) {
        at++;
        this.#nextLine++;
        continue;
      }
      break;
    }
    this.#start = at;
    this.line = this.#nextLine;
    if (at >= source.length) {
      this.#set("end", "", at);
    } else if (kind === NEWLINE) {
      this.#nextLine++;
      this.#set("line", "\n", at + 1);
    } else if (kind === MARK) {
      this.#mark(at);
    } else if (kind === QUOTE) {
      this.#quoted(at);
    } else {
      let end = at + 1;
      while (end < source.length && classOf(source.charCodeAt(end)) === WORD) end++;
      this.#set("word", source.slice(at, end), end);
    }
  }

  /** Goes on to what follows so many characters of the current word. */
  advanceWithin(characters: number): void {
    this.#next = this.#start + characters;
    this.advance();
  }

  /** Whether the current token is this word or mark. */
  is(text: string): boolean {
    return this.text === text && (this.kind === "word" || this.kind === "mark");
  }

  /** Goes over the current token if it is this word or mark. */
  take(text: string): boolean {
    if (!this.is(text)) return false;
    this.advance();
    return true;
  }

  /** Goes over this word or mark. Throws {@link NftTextError}. */
  expect(text: string): void {
    if (!this.take(text)) throw this.unexpected(text);
  }

  /** Goes over any word, and says which. Throws {@link NftTextError}. */
  word(what: string): string {
    if (this.kind !== "word") throw this.unexpected(what);
    const { text } = this;
    this.advance();
    return text;
  }

  /** Goes over a quoted text, or a word in its place. Throws {@link NftTextError}. */
  quoted(what: string): string {
    if (this.kind !== "string") return this.word(what);
    const { text } = this;
    this.advance();
    return text;
  }

  /** Goes over line ends and semicolons. */
  skipLines(): void {
    while (this.kind === "line") this.advance();
  }

  /** The text from a place to the current token, in one line. */
  since({ position }: Place): string {
    return this.source.slice(position, this.#start).trim().replace(/\s+/g, " ");
  }

  /** The handle that comments have named since this was asked for. */
  takeHandle(): number | null {
    const handle = this.#handle;
    this.#handle = null;
    return handle;
  }

  /** What to throw where something else was expected. */
  unexpected(expected: string): NftTextError {
    return new NftTextError(this.line, `expected ${expected}, not ${this.#shown()}`);
  }

  #set(kind: TokenKind, text: string, next: number): void {
    this.kind = kind;
    this.text = text;
    this.#next = next;
  }

  #mark(at: number): void {
    const one = this.source[at];
    const pair = this.source.slice(at, at + 2);
    if (one === ";") this.#set("line", one, at + 1);
    else if (PAIRS.has(pair)) this.#set("mark", pair, at + 2);
    else this.#set("mark", one, at + 1);
  }

  #quoted(at: number): void {
    const end = this.source.indexOf('"', at + 1);
    if (end < 0) throw new NftTextError(this.line, "a quoted text has no end");
    const text = this.source.slice(at + 1, end);
    for (const char of text) if (char === "\n") this.#nextLine++;
    this.#set("string", text, end + 1);
  }

  /** Where the line ends whose rest is a comment. */
  #comment(at: number): number {
    const newline = this.source.indexOf("\n", at);
    const end = newline < 0 ? this.source.length : newline;
    const handle = /^# handle (\d+)/.exec(this.source.slice(at, Math.min(end, at + 32)));
    if (handle !== null) this.#handle = Number(handle[1]);
    return end;
  }

  #shown(): string {
    if (this.kind === "end") return "the end of the text";
    if (this.kind === "line") return this.text === ";" ? "a semicolon" : "the end of the line";
    return JSON.stringify(this.text.slice(0, 60));
  }
}
