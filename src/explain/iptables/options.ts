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
  readonly options: Option[];
}

/** A target, or the chain to go to. */
export interface TargetUse {
  readonly name: string;
  /** -g instead of -j. */
  readonly isGoto: boolean;
  readonly options: Option[];
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
  const base: MatchUse = { module: "base", options: [] };
  const matches: MatchUse[] = [base];
  let target: TargetUse | null = null;
  let implicit: string | undefined;
  let negated = false;
  for (let i = 0; i < words.length;) {
    const word = words[i++];
    if (word === "!") {
      negated = true;
      continue;
    }
    if ((word === "-m" || word === "--match") && i < words.length) {
      matches.push({ module: words[i++], options: [] });
      negated = false;
      continue;
    }
    if (["-j", "--jump", "-g", "--goto"].includes(word) && i < words.length) {
      target = { name: words[i++], isGoto: word === "-g" || word === "--goto", options: [] };
      negated = false;
      continue;
    }
    const [owner, count] = ownerOf(word, target);
    const end = count === null ? endOfUnknown(words, i) : Math.min(i + count, words.length);
    const option = { name: word, negated, args: words.slice(i, end) };
    owner.push(option);
    i = end;
    negated = false;
    if (word === "-p" || word === "--protocol") {
      implicit = extensions.forProtocol(option.args[0] ?? "");
    }
  }
  return { matches: matches.filter((use) => use !== base || use.options.length > 0), target };

  function ownerOf(word: string, target: TargetUse | null): [Option[], number | null] {
    if (target !== null) {
      const count = countOf(extensions.target(target.name), word);
      if (count !== undefined) return [target.options, count];
    }
    const arity = countOf(extensions.base, word);
    if (arity !== undefined) return [base.options, arity];
    for (let i = matches.length - 1; i > 0; i--) {
      const count = countOf(extensions.match(matches[i].module), word);
      if (count !== undefined) return [matches[i].options, count];
    }
    const count = implicit === undefined ? undefined : countOf(extensions.match(implicit), word);
    if (implicit !== undefined && count !== undefined) {
      const use: MatchUse = { module: implicit, options: [] };
      matches.push(use);
      return [use.options, count];
    }
    return [target?.options ?? matches[matches.length - 1].options, null];
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
