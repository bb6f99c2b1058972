/**
 * `cleanup`: removes from this node what a proxy of Kubernetes left on it.
 *
 * @module
 */

import { cleanupModes } from "../agent/leftovers.ts";
import { parseCommandLine } from "../config/config.ts";
import { configureLogging } from "../config/logging.ts";
import { refuseArguments } from "../config/usage.ts";
import { ProgramRunner } from "../dataplane/iptables/programs.ts";
import { tellAsked } from "./asked.ts";
import { complainLines } from "./io.ts";

/** Cleans up; resolves with the exit status: 1 when something could not be removed. */
export async function cleanup(args: readonly string[]): Promise<number> {
  const line = parseCommandLine(args, "cleanup", () => "");
  if (tellAsked(line, "cleanup")) return 0;
  refuseArguments(line);
  configureLogging(line.config.logging);
  return await cleanupNode();
}

/** Cleans up this node in every mode; what fails is a line on standard error each. */
export async function cleanupNode(): Promise<number> {
  const failures = await cleanupModes(new ProgramRunner());
  complainLines(...failures.map((failure) => `switchyard: cleanup: ${failure}`));
  return failures.length > 0 ? 1 : 0;
}
