/**
 * A rule's words, sorted into what belongs to which extension, as iptables' command line parser
 * does it: an option belongs to the target when that has it, else to the latest extension loaded
 * that has it.
 *
 * @module
 */

/** An option with its arguments: `! --dport 80`. */
export interface Option {
  /** As given, with dashes. */
  readonly name: string;
  readonly negated: boolean;
  readonly args: readonly string[];
}

/** A match extension that a rule loads, or "base" for what needs none (-s, -d, -p, -i, -o, -f). */
export interface MatchUse {
  readonly module: string;
  readonly options: readonly Option[];
}

/** A target, or the chain to go to. */
export interface TargetUse {
  readonly name: string;
  /** -g instead of -j. */
  readonly isGoto: boolean;
  readonly options: readonly Option[];
}

/** A rule's parts. */
export interface RuleParts {
  readonly matches: readonly MatchUse[];
  /** Null: the rule only counts. */
  readonly target: TargetUse | null;
}

/** Number of arguments of each option. */
export type OptionTable = Readonly<Record<string, number>>;

/** Which options there are. */
export interface Extensions {
  readonly base: OptionTable;
  /** Undefined: not known. */
  match(name: string): OptionTable | undefined;
  target(name: string): OptionTable | undefined;
  /** The extension that `-p NAME` brings along without -m, or undefined. */
  forProtocol(protocol: string): string | undefined;
}

/** Sorts the words of one rule, those after `-A CHAIN`. */
export function sortWords(words: readonly string[], extensions: Extensions): RuleParts {
  const parts = new SortedWords(extensions);
  let negated = false;
  for (let i = 0; i < words.length;) {
    const word = words[i++];
    if (word === "!") {
      negated = true;
      continue;
    }
    if (i < words.length && parts.load(word, words[i])) {
      i++;
    } else {
      const { use, count } = parts.ownerOf(word);
      const end = count === null ? endOfUnknown(words, i) : Math.min(i + count, words.length);
      const args = i === end ? NO_ARGUMENTS : words.slice(i, end);
      use.options = appended(use.options, { name: word, negated, args });
      if (word === "-p" || word === "--protocol") parts.protocol(i < end ? words[i] : "");
      i = end;
    }
    negated = false;
  }
  return parts;
}

const NO_ARGUMENTS: readonly string[] = [];
const NO_OPTIONS: readonly Option[] = [];

/** A list with one more: rules have few of all, and a list that grows is made for many. */
function appended<T>(list: readonly T[], one: T): readonly T[] {
  return list.length === 0 ? [one] : list.concat([one]);
}

/** Has options added. */
interface Use {
  options: readonly Option[];
}

/** Whose an option is, and how many arguments it has: null where nobody knows it. */
interface Owner {
  readonly use: Use;
  readonly count: number | null;
}

/** What the words so far have come to. */
class SortedWords implements RuleParts {
  readonly #extensions: Extensions;
  readonly #base: MatchUse & Use = { module: "base", options: NO_OPTIONS };
  /** Those that were loaded. */
  #loaded: readonly (MatchUse & Use)[] = [];
  /** The extension that the protocol brings along as soon as one of its options is there. */
  #implicit: string | undefined;
  target: (TargetUse & Use) | null = null;

  constructor(extensions: Extensions) {
    this.#extensions = extensions;
  }

  get matches(): readonly MatchUse[] {
    return this.#base.options.length === 0 ? this.#loaded : [this.#base].concat(this.#loaded);
  }

  /** Loads what a word says to load; false: it is an option. */
  load(word: string, name: string): boolean {
    switch (word) {
      case "-m":
      case "--match":
        this.#load(name);
        return true;
      case "-j":
      case "--jump":
        this.target = { name, isGoto: false, options: NO_OPTIONS };
        return true;
      case "-g":
      case "--goto":
        this.target = { name, isGoto: true, options: NO_OPTIONS };
        return true;
      default:
        return false;
    }
  }

  /** Takes note of the protocol. */
  protocol(name: string): void {
    this.#implicit = this.#extensions.forProtocol(name);
  }

  ownerOf(option: string): Owner {
    const { target } = this;
    if (target !== null) {
      const count = countOf(this.#extensions.target(target.name), option);
      if (count !== undefined) return { use: target, count };
    }
    const arity = countOf(this.#extensions.base, option);
    if (arity !== undefined) return { use: this.#base, count: arity };
    const loaded = this.#loaded;
    for (let i = loaded.length - 1; i >= 0; i--) {
      const count = countOf(this.#extensions.match(loaded[i].module), option);
      if (count !== undefined) return { use: loaded[i], count };
    }
    if (this.#implicit !== undefined) {
      const count = countOf(this.#extensions.match(this.#implicit), option);
      if (count !== undefined) {
        return { use: this.#load(this.#implicit), count };
      }
    }
    return { use: target ?? loaded.at(-1) ?? this.#base, count: null };
  }

  #load(module: string): Use {
    const use = { module, options: NO_OPTIONS };
    this.#loaded = appended(this.#loaded, use);
    return use;
  }
}

function countOf(table: OptionTable | undefined, word: string): number | undefined {
  return table !== undefined && Object.hasOwn(table, word) ? table[word] : undefined;
}

/** An option that is not known has the words up to the next one that looks like an option. */
function endOfUnknown(words: readonly string[], start: number): number {
  let end = start;
  while (end < words.length && words[end] !== "!" && !/^--?[a-z]/i.test(words[end])) end++;
  return end;
}
