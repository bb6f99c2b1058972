/**
 * Answers for people to read.
 *
 * @module
 */

import { formatSocketAddress } from "../net/address.ts";
import type { Answer, Flow, Outcome, Step } from "./answer.ts";

/** The answers to flows, in the same order, as text that ends with a line end. */
export function formatAnswers(flows: readonly Flow[], answers: readonly Answer[]): string {
  return answers.map((answer, i) => formatAnswer(flows[i], answer)).join("\n");
}

/** First the answer, then how it comes about: of each further outcome only the steps that are new. */
function formatAnswer(flow: Flow, answer: Answer): string {
  const dest = `${formatSocketAddress(flow.dest, flow.port)}/${flow.protocol}`;
  const source = flow.sourcePort === undefined
    ? flow.source
    : formatSocketAddress(flow.source, flow.sourcePort);
  const isNamed = answer.name.toLowerCase() !== `${source} ${dest}`.toLowerCase();
  const lines = [
    plain(`${isNamed ? `${answer.name}: ` : ""}${source} to ${dest}`),
    `  ${answer.verdict}${answer.service === null ? "" : ` ${answer.service}`}${
      answer.masquerade ? ", masqueraded" : ""
    }${answer.unknown.length > 0 ? ", as far as known" : ""}`,
    ...answer.outcomes.map((outcome) => `    ${summary(outcome)}`),
  ];
  lines.push(...formatWays(answer));
  if (answer.unknown.length > 0) lines.push("  not known:");
  for (const { table, chain, rule, line, text, reason } of answer.unknown) {
    const place = `${table} ${chain}${rule === null ? "" : ` rule ${rule}`}`;
    lines.push(`    ${place}${line === null ? "" : ` (line ${line})`}: ${reason}`, `      ${text}`);
  }
  return lines.map((line) => `${line}\n`).join("");
}

function formatWays({ outcomes, steps }: Answer): string[] {
  const lines: string[] = [];
  const told = new Set<number>();
  for (const outcome of outcomes) {
    const untold = outcome.steps.filter((index) => !told.has(index));
    if (untold.length === 0) continue;
    const again = untold.length < outcome.steps.length;
    lines.push(`  how ${ending(outcome)} comes about${again ? ", where it differs" : ""}:`);
    for (const index of untold) {
      lines.push(...formatStep(steps[index]));
      told.add(index);
    }
  }
  return lines;
}

function summary(outcome: Outcome): string {
  const percent = Number((100 * outcome.probability).toFixed(4));
  return `${percent}% ${ending(outcome)}${outcome.masquerade ? ", masqueraded" : ""}`;
}

function ending({ verdict, backend }: Outcome): string {
  if (backend === null) return verdict;
  return `${verdict} to ${formatSocketAddress(backend.address, backend.port)}`;
}

function formatStep({ hook, table, chain, rule, text, action }: Step): string[] {
  if (table === null) return [`    ${hook ?? text}: ${action}`];
  const place = rule === null ? chain : `${chain} rule ${rule}`;
  return [`    ${hook}: ${table} ${place}: ${action}`, `      ${text}`];
}

/** Control characters could forge output on a terminal. */
function plain(text: string): string {
  return [...text].map((char) => char < " " || char === "\x7f" ? " " : char).join("");
}
