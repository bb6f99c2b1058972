/**
 * `--help` and `--version`, which every command knows.
 *
 * @module
 */

import type { CommandLine } from "../config/config.ts";
import type { FlagCommand } from "../config/flag_table.ts";
import { VERSION } from "../config/version.ts";
import { commandHelp } from "./help.ts";
import { printLines } from "./io.ts";

/** Prints what a command line asks for instead of the command's work; false when it asks for neither. */
export function tellAsked({ asked }: CommandLine, command: FlagCommand): boolean {
  if (asked === null) return false;
  printLines(asked === "help" ? commandHelp(command) : `switchyard ${VERSION}`);
  return true;
}
