/**
 * A replay's report for people.
 *
 * @module
 */

import { formatSocketAddress } from "../net/address.ts";
import type {
  BackendShare,
  ReplayedConnection,
  ReplayEnd,
  ReplayReport,
  Unmatched,
} from "./report.ts";

/** The report, with an end of line behind each line. */
export function formatReport(report: ReplayReport): string {
  const { format, packets, bytes, complete, connections, connectionsTotal, unmatched } = report;
  const sections = [
    [
      `${format}: ${count(packets, "packet")}, ${count(bytes, "byte")}, ` +
      count(connectionsTotal, "connection") + (complete ? "" : "; the rest took too long"),
    ],
    connections.flatMap(formatConnection),
    report.backends.map(formatShare),
    unmatched.length === 0 ? [] : [
      `matched nothing: ${count(report.unmatchedTotal.packets, "packet")}`,
      ...unmatched.map(formatUnmatched),
    ],
    Object.entries(report.skipped).map(([what, times]) =>
      `left out: ${count(times, "frame")}: ${what}`
    ),
  ];
  return sections.filter((lines) => lines.length > 0)
    .map((lines) => lines.map((line) => `${line}\n`).join("")).join("\n");
}

function formatConnection(connection: ReplayedConnection): string[] {
  const { protocol, client, frontend, service, verdict, backend, masqueraded, reason } = connection;
  const { original, replies, dropped } = connection;
  const dialled = `${end(client)} -> ${end(frontend)}/${protocol}`;
  const chosen = backend === null
    ? verdict
    : `${end(backend)}${masqueraded ? ", masqueraded" : ""}`;
  const lost = Object.entries(dropped).map(([why, times]) => `; ${times} times ${why}`).join("");
  return [
    `${dialled} ${frontend.kind ?? ""} ${service ?? ""}: ${chosen}`,
    `    ${reason}; ${count(original.packets, "packet")}, ` +
    `${count(replies.packets, "answer")}${lost}`,
  ];
}

function formatShare({ service, backend, connections, share, packets, bytes }: BackendShare) {
  const percent = `${(share * 100).toFixed(1)}%`.padStart(6);
  return `${percent} ${service} ${end(backend)}: ${count(connections, "connection")}, ` +
    `${count(packets, "packet")}, ${count(bytes, "byte")}`;
}

function formatUnmatched({ protocol, dest, packets, reason }: Unmatched): string {
  return `    ${packets} to ${dest === null ? protocol : `${end(dest)}/${protocol}`}: ${reason}`;
}

function end({ address, port }: ReplayEnd): string {
  return formatSocketAddress(address, port);
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}
