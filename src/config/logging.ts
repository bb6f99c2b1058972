/**
 * Log lines on standard error: as text for people, as JSON lines for programs.
 *
 * @module
 */

import { configureSync, type LogRecord } from "@logtape/logtape";

/** `-v` from which debugging is shown, as the Kubernetes components use it. */
const DEBUG_VERBOSITY = 4;

/** "2026-01-31T12:00:00.000Z WARN agent: what happened"; always one line. */
export function formatTextRecord(record: LogRecord): string {
  const { time, level, part, message } = parts(record);
  return `${time} ${level} ${part}: ${message.replaceAll("\n", "\\n")}\n`;
}

/** The same as an object on one line, with the values in the message as fields of their own too. */
export function formatJsonRecord(record: LogRecord): string {
  return JSON.stringify({ ...parts(record), properties: record.properties }) + "\n";
}

function parts(record: LogRecord) {
  return {
    time: new Date(record.timestamp).toISOString(),
    level: record.level === "warning" ? "WARN" : record.level.toUpperCase(),
    part: record.category.slice(1).join("."),
    message: record.message.map(String).join(""),
  };
}

/** Sends the log of this process to standard error. */
export function configureLogging(
  options: { readonly format: "text" | "json"; readonly verbosity: number },
): void {
  const format = options.format === "json" ? formatJsonRecord : formatTextRecord;
  const encoder = new TextEncoder();
  configureSync({
    reset: true,
    sinks: {
      stderr: (record) => writeAll(encoder.encode(format(record))),
    },
    loggers: [
      {
        category: "switchyard",
        sinks: ["stderr"],
        lowestLevel: options.verbosity >= DEBUG_VERBOSITY ? "debug" : "info",
      },
      { category: ["logtape", "meta"], sinks: ["stderr"], lowestLevel: "warning" },
    ],
  });
}

function writeAll(bytes: Uint8Array): void {
  for (let offset = 0; offset < bytes.length;) {
    offset += Deno.stderr.writeSync(bytes.subarray(offset));
  }
}
