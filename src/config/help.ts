/**
 * The help text, from the flag table.
 *
 * @module
 */

import { wrap } from "../lab/table.ts";
import type { FlagSupport } from "./flag_spec.ts";
import { type FlagCommand, FLAGS, type FlagSpec } from "./flag_table.ts";

/** Columns of what stands left of the descriptions, and of all. */
const LEFT = 36;
const WIDTH = 100;

/** The flags of a command, one a line, those that do something first. */
export function flagHelp(command: FlagCommand): string {
  const table: [string, FlagSpec][] = Object.entries(FLAGS);
  const mine = table.filter(([, spec]) => spec.commands.includes(command));
  const those = (support: FlagSupport) => mine.filter(([, spec]) => spec.support === support);
  const section = (title: string, flags: [string, FlagSpec][]) =>
    flags.length === 0 ? [] : [title, ...flags.map(([name, spec]) => flagLine(name, spec)), ""];
  return [
    ...section("Flags:", those("honoured")),
    ...section("Flags of kube-proxy that have no effect:", those("without-effect")),
  ].join("\n");
}

function flagLine(name: string, spec: FlagSpec): string {
  const dashes = name.length === 1 ? "-" : "--";
  const left = `  ${dashes}${name}${spec.placeholder === "" ? "" : ` ${spec.placeholder}`}`;
  const shownDefault =
    spec.default === null || spec.default === "" || spec.support === "without-effect"
      ? ""
      : ` (default ${spec.default})`;
  const why = spec.why === undefined ? "" : `: ${spec.why}`;
  const [first, ...more] = wrap(spec.help + why + shownDefault, WIDTH - LEFT);
  const indent = " ".repeat(LEFT);
  const start = left.length < LEFT ? left.padEnd(LEFT) : `${left}\n${indent}`;
  return [start + first, ...more.map((line) => indent + line)].join("\n");
}
