/**
 * The help text, from the flag table.
 *
 * @module
 */

import { type FlagCommand, FLAGS, type FlagSpec } from "./flag_table.ts";

/** The flags of a command, one a line, those that do something first. */
export function flagHelp(command: FlagCommand): string {
  const table: [string, FlagSpec][] = Object.entries(FLAGS);
  const mine = table.filter(([, spec]) => spec.commands.includes(command));
  const names = (supports: readonly string[]) =>
    mine.filter(([, spec]) => supports.includes(spec.support));
  const section = (title: string, flags: [string, FlagSpec][]) =>
    flags.length === 0 ? [] : [title, ...flags.map(([name, spec]) => flagLine(name, spec)), ""];
  return [
    ...section("Flags:", names(["honoured"])),
    ...section("Flags of kube-proxy, accepted without effect so far:", names(["not-yet"])),
    ...section("Flags of kube-proxy that have no effect:", names(["without-effect"])),
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
  const right = spec.help + why + shownDefault;
  return left.length < 36 ? left.padEnd(36) + right : `${left}\n${" ".repeat(36)}${right}`;
}
