/**
 * The lab's first words: every frontend asked with real requests, and a table of who answered.
 *
 * @module
 */

import { formatSocketAddress } from "../net/address.ts";
import type { FrontendKind, NodeInfo, ServicePlan } from "../plan/plan.ts";
import type { Outcome, ProbeOptions, Target } from "./probe.ts";
import { answers, mismatch, type Question, questionsFor } from "./questions.ts";
import { formatTable } from "./table.ts";
import type { Client } from "./topology.ts";

/** How long silence is listened to, in milliseconds: longer than a retransmitted SYN takes (1 s). */
const SILENCE_MS = 1500;
/** How long an answer is waited for on a busy machine, in milliseconds. */
const PATIENCE_MS = 20_000;

/** What the report needs of the lab. */
export interface Asker {
  probe(from: string, target: Target, options: ProbeOptions): Promise<Outcome[]>;
  /** The name that the server at an address answers with. */
  nameAt(address: string): string | undefined;
}

/** A question with what came of it. */
export interface Answered {
  readonly question: Question;
  readonly outcomes: readonly Outcome[];
  /** What is not as the plan says; null when all is well. */
  readonly problem: string | null;
}

/**
 * Asks all questions: those of one service port one after the other, so that no other question
 * takes a turn of its scheduler, and different ones side by side.
 */
export async function askAll(asker: Asker, questions: readonly Question[]): Promise<Answered[]> {
  const byService = Map.groupBy(questions, (question) => question.service);
  const answered = await Promise.all([...byService.values()].map(async (own) => {
    const results: Answered[] = [];
    for (const question of own) {
      const { count, from, target, expected } = question;
      const timeoutMs = expected.verdict === "timeout" ? SILENCE_MS : PATIENCE_MS;
      const outcomes = await asker.probe(from, target, { count, timeoutMs });
      const problem = mismatch(question, outcomes, (address) => asker.nameAt(address));
      results.push({ question, outcomes, problem });
    }
    return results;
  }));
  return answered.flat();
}

/** One row of the table, for programs. */
export interface ReportRow extends Target {
  readonly service: string;
  readonly kind: FrontendKind;
  readonly from: string;
  readonly asked: number;
  /** How often each name answered. */
  readonly answers: Readonly<Record<string, number>>;
  readonly refused: number;
  readonly silent: number;
  readonly failed: number;
  /** What is not as the plan says; null when all is well. */
  readonly problem: string | null;
}

/** What came of asking every frontend. */
export interface Report {
  /** The table, ready to print. */
  readonly lines: readonly string[];
  readonly rows: readonly ReportRow[];
  /** How many rows are not as the plan says. */
  readonly problems: number;
}

/** Asks every frontend of the Services; the table is at most `width` columns wide. */
export async function report(
  asker: Asker,
  services: readonly ServicePlan[],
  node: NodeInfo,
  clients: readonly Client[],
  width: number,
): Promise<Report> {
  const answered = await askAll(asker, questionsFor(services, node, clients));
  const rows = answered.map(reportRow);
  return {
    lines: formatReport(services, answered, width),
    rows,
    problems: rows.filter(({ problem }) => problem !== null).length,
  };
}

function reportRow({ question, outcomes, problem }: Answered): ReportRow {
  const { service, kind, target, from, count } = question;
  const number = (wanted: Outcome["kind"]) =>
    outcomes.filter((outcome) => outcome.kind === wanted).length;
  return {
    service,
    kind,
    ...target,
    from,
    asked: count,
    answers: Object.fromEntries(answers(outcomes)),
    refused: number("refused"),
    silent: number("timeout"),
    failed: number("failed"),
    problem,
  };
}

/** The lines of the table: one row a question, and one for each Service that has no frontend. */
export function formatReport(
  services: readonly ServicePlan[],
  answered: readonly Answered[],
  width: number,
): string[] {
  const rows = answered.map(({ question, outcomes, problem }) => [
    question.service,
    question.kind,
    formatTarget(question.target),
    question.from,
    String(question.count),
    describe(outcomes) + (problem === null ? "" : `  ! ${problem}`),
  ]);
  for (const service of services) {
    if (service.ports.length > 0) continue;
    const name = `${service.namespace}/${service.name}`;
    if (service.type === "ExternalName") {
      rows.push([name, "ExternalName", "-", "-", "-", `a DNS alias of ${service.externalName}`]);
    } else if (service.headless) {
      rows.push([name, "headless", "-", "-", "-", "DNS gives the pods' own addresses"]);
    }
  }
  return formatTable(["SERVICE", "KIND", "FRONTEND", "FROM", "ASKED", "ANSWERED BY"], rows, width);
}

function formatTarget({ address, port, protocol }: Target): string {
  const socket = formatSocketAddress(address, port);
  return protocol === "TCP" ? socket : `${socket}/${protocol}`;
}

/** "a 3, b 3, c 3" or "refused 2 within 0.4 ms", or several of these. */
function describe(outcomes: readonly Outcome[]): string {
  const parts = [...answers(outcomes)].map(([pod, count]) => `${pod} ${count}`);
  const refused = outcomes.filter(({ kind }) => kind === "refused");
  if (refused.length > 0) {
    parts.push(`refused ${refused.length} within ${milliseconds(refused)} ms`);
  }
  const silent = outcomes.filter(({ kind }) => kind === "timeout");
  if (silent.length > 0) {
    const longest = Math.max(...silent.map(({ ms }) => ms));
    parts.push(`no answer ${silent.length} within ${Number((longest / 1000).toFixed(1))} s`);
  }
  const failures = new Map<string, number>();
  for (const outcome of outcomes) {
    if (outcome.kind !== "failed") continue;
    failures.set(outcome.message, (failures.get(outcome.message) ?? 0) + 1);
  }
  for (const [message, count] of failures) parts.push(`failed ${count} (${message})`);
  return parts.join(", ");
}

/** The longest time. */
function milliseconds(outcomes: readonly Outcome[]): string {
  const ms = Math.max(...outcomes.map((outcome) => outcome.ms));
  return ms < 10 ? ms.toFixed(1) : ms.toFixed(0);
}
