/**
 * Log lines on standard error: as text for people, as JSON lines for programs.
 *
 * @module
 */

import { configureSync, type LogRecord } from "@logtape/logtape";
import { writeError } from "../standard_streams.ts";
import type { LoggingConfig } from "./parts.ts";

/** `-v` from which debugging is shown, as the Kubernetes components use it. */
const DEBUG_VERBOSITY = 4;

/** "2026-01-31T12:00:00.000Z WARN agent: what happened"; always one line. */
export function formatTextRecord(record: LogRecord): string {
  const time = new Date(record.timestamp).toISOString();
  const level = record.level === "warning" ? "WARN" : record.level.toUpperCase();
  return `${time} ${level} ${partOf(record)}: ${messageOf(record).replaceAll("\n", "\\n")}\n`;
}

/**
 * An object on one line, with the fields of the Kubernetes components (component-base/logs/json): `ts`,
 * milliseconds since the epoch; `logger`; `msg`; `v`, how much must be asked for to see it, on what is
 * no error; `err`; and the values in the message, by their names.
 */
export function formatJsonRecord(record: LogRecord): string {
  const { error, ...values } = record.properties;
  const fields = {
    ts: record.timestamp,
    level: record.level,
    logger: partOf(record),
    msg: messageOf(record),
    v: record.level === "debug" ? DEBUG_VERBOSITY : record.level === "info" ? 0 : undefined,
    err: error,
  };
  // Their order is the first's, their values the last's.
  return JSON.stringify({ ...fields, ...values, ...fields }) + "\n";
}

/** The part of the program that says it: "agent", "dataplane.iptables". */
function partOf(record: LogRecord): string {
  return record.category.slice(1).join(".");
}

function messageOf(record: LogRecord): string {
  return record.message.map(String).join("");
}

/** Whether a record is to be seen: errors, warnings and information always are. */
export function isShown(record: LogRecord, { verbosity, byPart }: LoggingConfig): boolean {
  if (record.level !== "debug") return true;
  const part = partOf(record);
  const own = byPart.find(({ pattern }) => matches(pattern, part));
  return (own?.verbosity ?? verbosity) >= DEBUG_VERBOSITY;
}

/** Whether a name matches a pattern with * for anything and ? for one character. */
function matches(pattern: string, name: string): boolean {
  const source = pattern.replaceAll(/[.+^${}()|[\]\\]/g, "\\$&")
    .replaceAll("*", ".*").replaceAll("?", ".");
  return new RegExp(`^${source}$`).test(name);
}

let current: LoggingConfig | null = null;

/** Sends the log of this process to standard error. */
export function configureLogging(options: LoggingConfig): void {
  current = options;
  const format = options.format === "json" ? formatJsonRecord : formatTextRecord;
  const debugging = [options, ...options.byPart]
    .some(({ verbosity }) => verbosity >= DEBUG_VERBOSITY);
  configureSync({
    reset: true,
    sinks: {
      stderr: (record) => {
        if (isShown(record, options)) writeError(format(record));
      },
    },
    loggers: [
      {
        category: "switchyard",
        sinks: ["stderr"],
        lowestLevel: debugging ? "debug" : "info",
      },
      { category: ["logtape", "meta"], sinks: ["stderr"], lowestLevel: "warning" },
    ],
  });
}

/** Logs more or less from here on. */
export function setVerbosity(verbosity: number): void {
  if (current !== null) configureLogging({ ...current, verbosity });
}
