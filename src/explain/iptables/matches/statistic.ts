/**
 * The match statistic: chance, and every n-th packet, which to a packet picked at random is chance.
 *
 * @module
 */

import { fraction, parseProbability } from "../../fraction.ts";
import { Recent } from "../../recent.ts";
import { invert, type MatchModule, NotUnderstood, type Result } from "./result.ts";

export const statistic: MatchModule = {
  options: { "--mode": 1, "--probability": 1, "--every": 1, "--packet": 1 },
  compile(options) {
    const argument = (name: string) => options.findLast((option) => option.name === name)?.args[0];
    const mode = argument("--mode");
    const result = mode === "random"
      ? random(argument("--probability"))
      : mode === "nth"
      ? nth(argument("--every"))
      : null;
    if (result === null) throw new NotUnderstood(`statistic mode ${mode} is not known`);
    const negated = options.some((option) => option.negated);
    const final = invert(result, negated);
    return () => final;
  },
};

/** Equal numbers of endpoints make for equal chances: few texts are read again and again. */
const RANDOM = new Recent<string, Result>(1024);

function random(text = ""): Result {
  return RANDOM.get(text, () => chanceOf(text));
}

function chanceOf(text: string): Result {
  const probability = parseProbability(text);
  if (probability === null) throw new NotUnderstood(`${text} is not a probability`);
  return { kind: "chance", probability };
}

function nth(text = ""): Result {
  if (!/^[1-9]\d*$/.test(text)) throw new NotUnderstood(`every ${text}th packet is not possible`);
  return {
    kind: "chance",
    probability: fraction(1n, BigInt(text)),
    note: `one packet in ${text}, which one is not known`,
  };
}
