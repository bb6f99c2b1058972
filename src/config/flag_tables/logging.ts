/**
 * Flags of the log.
 *
 * @module
 */

import { booleanFlag, every, flag, type FlagSpec, listFlag, withoutEffect } from "../flag_spec.ts";
import * as value from "../values.ts";

export const LOGGING_FLAGS = {
  "logging-format": flag(
    value.oneOf(["text", "json"]),
    "FORMAT",
    "text",
    "log lines: text, json",
    every,
  ),
  "v": flag(
    value.integer(0, 2 ** 31 - 1),
    "LEVEL",
    "0",
    "how much is logged: 4 and more for debugging",
    every,
  ),
  "vmodule": listFlag(
    value.verbosityByPattern,
    "PATTERN=N",
    "",
    "-v for parts of the program, as the log names them: agent=5,kubernetes=4; in text format only",
    every,
  ),
  "log-flush-frequency": flag(
    value.duration,
    "DURATION",
    "5s",
    "longest time that log lines are held back",
    withoutEffect("log lines are not held back"),
  ),
  "log-json-info-buffer-size": flag(value.text, "SIZE", "0", "buffer of log lines", {
    ...withoutEffect("log lines are not held back"),
  }),
  "log-json-split-stream": booleanFlag(
    false,
    "split the log",
    withoutEffect("the log goes to standard error"),
  ),
  "log-text-info-buffer-size": flag(value.text, "SIZE", "0", "buffer of log lines", {
    ...withoutEffect("log lines are not held back"),
  }),
  "log-text-split-stream": booleanFlag(
    false,
    "split the log",
    withoutEffect("the log goes to standard error"),
  ),
} satisfies Record<string, FlagSpec>;
