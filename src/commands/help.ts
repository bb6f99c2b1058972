/**
 * What `help` and `--help` print.
 *
 * @module
 */

import type { FlagCommand } from "../config/flag_table.ts";
import { flagHelp } from "../config/help.ts";
import { VERSION } from "../config/version.ts";

const COMMAND_HELP: Readonly<Record<FlagCommand, readonly string[]>> = {
  run: [
    "Usage: run [flags]",
    "",
    "The node agent. With --manifests it serves the Services in them on this node (as root), or",
    "only answers queries about them (otherwise). Without, it runs the lab: the bundled examples in",
    "network namespaces of its own, the host's network untouched. Ends on Ctrl-C or SIGTERM.",
  ],
  lab: [
    "Usage: lab [flags]",
    "       lab list",
    "       lab exec NAME -- COMMAND...",
    "",
    "The lab: a node, pods and clients in network namespaces of its own, serving the manifests given",
    "or the bundled examples. `list` names the namespaces of the lab that runs, and `exec` runs a",
    "command in one of them, as in: lab exec client -- curl http://10.0.1.175",
  ],
};

/** The help of one command. */
export function commandHelp(command: FlagCommand): string {
  return [...COMMAND_HELP[command], "", flagHelp(command)].join("\n").trimEnd();
}

/** The help without a command. */
export function generalHelp(): string {
  return [
    `Switchyard ${VERSION}: a Kubernetes Service load balancer for a node.`,
    "",
    "Usage: deno task NAME [flags], or deno run ... src/main.ts COMMAND [flags]",
    "",
    "Commands:",
    "  run        the node agent; without --manifests, the lab",
    "  lab        the lab, and commands in its namespaces",
    "  version    prints the version",
    "  help       prints this, or the help of a command: help run",
    "",
    "Arguments that begin with a flag are those of run, as kube-proxy's are.",
    "Exit status: 0 done, 1 failed, 2 bad usage or input.",
  ].join("\n");
}
