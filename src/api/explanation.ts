/**
 * What is answered about one packet: the word of the witness that forwards, and where the other one
 * says otherwise.
 *
 * @module
 */

import { z } from "@hono/zod-openapi";
import { frontendKind, probability, sourceClass, verdict } from "./schemas.ts";
import { engineAnswer, rulesAnswer, type Testimony, type Witnesses } from "./witness/witnesses.ts";

const Ends = z.object({ address: z.string(), port: z.int() });

const Backend = Ends.extend({ probability, masquerade: z.boolean() });

const Step = z.object({
  hook: z.string().nullable().openapi({ description: "netfilter's hook", example: "PREROUTING" }),
  table: z.string().nullable(),
  chain: z.string().nullable(),
  rule: z.int().nullable().openapi({ description: "number in its chain, from 1" }),
  line: z.int().nullable().openapi({ description: "line in the text of the rules, from 1" }),
  text: z.string(),
  action: z.string(),
}).openapi("Step");

const Outcome = z.object({
  verdict,
  backend: Ends.nullable(),
  masquerade: z.boolean(),
  probability,
  steps: z.array(z.int()).readonly().openapi({ description: "indexes into the answer's steps" }),
}).openapi("Outcome");

const UnknownRule = z.object({
  table: z.string(),
  chain: z.string(),
  rule: z.int().nullable(),
  line: z.int().nullable(),
  text: z.string(),
  reason: z.string(),
}).openapi("UnknownRule");

/** Something that the two witnesses say otherwise. */
export const DisagreementView = z.object({
  field: z.enum(["verdict", "service", "backends", "probability", "masquerade"]),
  engine: z.string(),
  rules: z.string().openapi({ description: "what the rules say, or the plan without rules" }),
  known: z.string().nullable().openapi({
    description: "why it has to be so in this mode; null: something is wrong",
  }),
}).openapi("Disagreement");

/** The shape of the answer. */
export const Explanation = z.object({
  name: z.string().optional(),
  verdict,
  service: z.string().nullable().openapi({ example: "default/hostnames" }),
  backends: z.array(Backend).readonly(),
  masquerade: z.boolean().openapi({ description: "whichever backend it gets" }),
  steps: z.array(Step).readonly(),
  outcomes: z.array(Outcome).readonly().openapi({ description: "the distinct ends; together 1" }),
  unknown: z.array(UnknownRule).readonly().openapi({
    description: "rules that mattered and could not be decided",
  }),
  frontend: frontendKind.nullable(),
  sourceClass,
  answeredBy: z.enum(["engine", "rules"]).openapi({
    description: "the witness that forwards in this mode, whose word the answer is",
  }),
  witnesses: z.tuple([z.literal("engine"), z.enum(["rules", "plan"])]),
  engine: z.object({
    verdict,
    backend: Ends.nullable().openapi({ description: "the one that this packet would take now" }),
    reason: z.string(),
  }),
  asOf: z.int().optional().openapi({ description: "the entry of the history that was asked" }),
  disagreements: z.array(DisagreementView).readonly().openapi({
    description: "about a new connection; empty when both witnesses say the same",
  }),
}).openapi("Explanation");

/** The answer about one packet. */
export type ExplanationView = z.infer<typeof Explanation>;

/** The answer from what both witnesses say. */
export function explanation(witnesses: Witnesses, said: Testimony): z.input<typeof Explanation> {
  const { verdict, backend, reason, frontend, sourceClass } = said.engine;
  const answeredBy = witnesses.second === "rules" ? "rules" : "engine";
  const answer = answeredBy === "rules"
    ? rulesAnswer(said)
    : engineAnswer(said, witnesses.masqueradesAlways);
  return {
    ...answer,
    frontend,
    sourceClass,
    answeredBy,
    witnesses: ["engine", witnesses.second],
    engine: { verdict, backend, reason },
    disagreements: said.disagreements,
  };
}

/** The text of an answer whose rules have moved to other lines. */
export function withLines(text: string, moves: (line: number) => number): string {
  // Within a text of JSON there is no quote without a backslash in front of it.
  return text.replace(/"line":(\d+)/g, (_, line) => `"line":${moves(Number(line))}`);
}
