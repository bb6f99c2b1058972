/**
 * What the words of a rule mean.
 *
 * @module
 */

import { hostOf } from "./matches/base.ts";
import { MATCH_MODULES } from "./matches/modules.ts";
import { NotUnderstood, type Test, unknown } from "./matches/result.ts";
import { type Extensions, type MatchUse, type Option, sortWords } from "./options.ts";
import { compileTarget, type Target, targetOptions } from "./targets.ts";

/** What a rule says, wherever it stands. */
export interface Meaning {
  /** The first comment, or null. */
  readonly comment: string | null;
  /** Asked in this order, as the kernel does. */
  readonly tests: readonly Test[];
  /** The one address whose packets it can match; null: it may match others. */
  readonly dest: string | null;
  readonly target: Target;
}

const MODULE_OF_PROTOCOL: Readonly<Record<string, string>> = {
  "6": "tcp",
  "17": "udp",
  "132": "sctp",
};

const EXTENSIONS: Extensions = {
  base: MATCH_MODULES.get("base")!.options,
  match: (name) => MATCH_MODULES.get(name)?.options,
  target: targetOptions,
  forProtocol: (protocol) => {
    const name = Object.hasOwn(MODULE_OF_PROTOCOL, protocol)
      ? MODULE_OF_PROTOCOL[protocol]
      : protocol.toLowerCase();
    return MATCH_MODULES.has(name) ? name : undefined;
  },
};

const NO_TARGET: Target = { kind: "none" };

/** The meaning of the words behind `-A CHAIN`; `isChain` says which targets are chains. */
export function meaningOf(words: readonly string[], isChain: (name: string) => boolean): Meaning {
  const { matches, target } = sortWords(words, EXTENSIONS);
  let comment: string | null | undefined;
  const tests: Test[] = [];
  let dest: string | null = null;
  for (const use of matches) {
    const { module, options } = use;
    if (module === "comment") {
      if (comment === undefined) comment = options[0]?.args[0] ?? null;
      continue;
    }
    try {
      tests.push(compileMatch(use));
      if (module === "base") dest ??= demandedDest(options);
    } catch (error) {
      if (!(error instanceof NotUnderstood)) throw error;
      // In doubt for every packet.
      const doubt = unknown(`match ${module}: ${error.message}`);
      tests.push(() => doubt);
    }
  }
  return {
    comment: comment ?? null,
    tests,
    dest,
    target: target === null ? NO_TARGET : compileTarget(target, isChain),
  };
}

/** Throws {@link NotUnderstood}. */
function compileMatch({ module: name, options }: MatchUse): Test {
  const module = MATCH_MODULES.get(name);
  if (module === undefined) {
    const doubt = unknown(`match ${name} is not known`);
    return () => doubt;
  }
  for (const option of options) {
    if (!Object.hasOwn(module.options, option.name)) {
      throw new NotUnderstood(`option ${option.name} is not understood`);
    }
    const count = module.options[option.name];
    if (option.args.length < count) throw new NotUnderstood(`${option.name} lacks an argument`);
  }
  return module.compile(options);
}

/** The one destination that a rule's own words demand; null when there is none. */
function demandedDest(options: readonly Option[]): string | null {
  for (const { name, negated, args } of options) {
    if (name !== "-d" && name !== "--destination" && name !== "--dst") continue;
    return negated ? null : hostOf(args[0]);
  }
  return null;
}
