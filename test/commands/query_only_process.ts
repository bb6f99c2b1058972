/** `run` without the right to touch the node, for tests: serves the manifests until a signal. */

import { runNode } from "../../src/commands/run_node.ts";
import { parseCommandLine } from "../../src/config/config.ts";
import { configureLogging } from "../../src/config/logging.ts";

const { config } = parseCommandLine(Deno.args, "run", () => "node-a");
configureLogging(config.logging);
Deno.exit(await runNode(config, { queryOnly: true }));
