/**
 * `run`: the node agent.
 *
 * @module
 */

import { parseCommandLine } from "../config/config.ts";
import { configureLogging } from "../config/logging.ts";
import { refuseArguments } from "../config/usage.ts";
import { tellAsked } from "./asked.ts";

/** Runs until a signal comes; resolves with the exit status. */
export async function run(args: readonly string[]): Promise<number> {
  const line = parseCommandLine(args, "run", Deno.hostname);
  if (tellAsked(line, "run")) return 0;
  refuseArguments(line);
  configureLogging(line.config.logging);
  if (line.config.writeConfigTo !== null) {
    const { writeConfiguration } = await import("./write_config.ts");
    return await writeConfiguration(line.config, line.config.writeConfigTo);
  }
  if (line.config.cleanup) {
    const { cleanupNode } = await import("./cleanup.ts");
    return await cleanupNode();
  }
  if (line.config.initOnly) {
    const { initializeNode } = await import("./initialize.ts");
    return await initializeNode(line.config);
  }
  // Without a source of its own the agent runs in the lab.
  const { namesSource } = await import("./source.ts");
  if (!namesSource(line.config)) {
    const { runLab } = await import("./run_lab.ts");
    return await runLab(line);
  }
  const { runNode } = await import("./run_node.ts");
  return await runNode(line.config);
}
