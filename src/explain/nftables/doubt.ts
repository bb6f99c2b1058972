/**
 * When it does not matter that a rule cannot be decided.
 *
 * @module
 */

import type { Statement, Verdict } from "../../dataplane/nftables/language/ast.ts";
import type { Packet } from "../netfilter/packet.ts";
import { type Surroundings, test } from "./match.ts";
import type { PlacedRule } from "./tables.ts";

/**
 * Whether a packet fares the same whether a rule's statements from one on are done or not: another
 * match fails, they do nothing, or what comes next does the same for certain.
 *
 * @param isBase whether the hook called the rule's chain, and no other chain.
 */
export function makesNoDifference(
  isBase: boolean,
  { chain, number, rule }: PlacedRule,
  at: number,
  packet: Packet,
  around: Surroundings,
): boolean {
  if (failsLater(rule.statements, at, packet, around)) return true;
  const rest = rule.statements.slice(at).filter((statement) => !isHarmless(statement));
  if (rest.length === 0) return true;
  const [only] = rest;
  if (rest.length > 1 || only.kind !== "verdict") return false;
  const { verdict } = only;
  if (verdict.kind === "jump" || verdict.kind === "continue") return false;
  const next = chain.rules.at(number);
  if (next === undefined) {
    return verdict.kind === "return" || isBase && chain.base?.policy === verdict.kind;
  }
  const { statements } = next.rule;
  return statements.some((other) => other.kind === "verdict") &&
    statements.every((other) => {
      if (other.kind === "verdict") return isSameVerdict(other.verdict, verdict);
      if (other.kind === "match") return test(other, packet, around).kind === "yes";
      return other.kind === "counter" || other.kind === "log";
    });
}

function isSameVerdict(one: Verdict, other: Verdict): boolean {
  return one.kind === other.kind &&
    (!("chain" in one) || "chain" in other && one.chain === other.chain);
}

/** Whether one of the matches that come before anything is done does not hold. */
function failsLater(
  statements: readonly Statement[],
  at: number,
  packet: Packet,
  around: Surroundings,
): boolean {
  for (const statement of statements.slice(at + 1)) {
    if (statement.kind === "match") {
      if (test(statement, packet, around).kind === "no") return true;
    } else if (!isHarmless(statement)) {
      return false;
    }
  }
  return false;
}

/** Statements that leave a packet as it is, whether they are done or not. */
function isHarmless(statement: Statement): boolean {
  switch (statement.kind) {
    case "match":
    case "counter":
    case "log":
    case "limit":
      return true;
    case "verdict":
      return statement.verdict.kind === "continue";
    case "unknown":
      return /^(?:xt match|quota|ct count) /.test(statement.text) || isAside(statement.text);
    default:
      return false;
  }
}

/** Statements without bearing on where a packet goes, by their text. */
export function isAside(text: string): boolean {
  return ASIDE.test(text) || LOADS.test(text);
}

const ASIDE = /^(?:xt match "?comment"?|dup |flow |xt target "?(?:LOG|NFLOG|TCPMSS|CHECKSUM)"?)/;

/** What the kernel's expressions load that are not understood matters where it is used, if anywhere. */
const LOADS =
  /^\[ (?:(?:rt|byteorder|bitwise|payload|meta|ct|fib|hash|numgen|exthdr|socket|osf|xfrm)(?: [0-9a-f]+)?|exthdr set) \]$/;
