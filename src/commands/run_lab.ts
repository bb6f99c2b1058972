/**
 * The agent in the lab: the same agent as on a node, with a node, pods and clients of its own.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { getLogger } from "@logtape/logtape";
import { type RunningAgent, startAgent } from "../agent/assemble.ts";
import { openDataPlane } from "../agent/data_plane.ts";
import { checkMode } from "../agent/mode.ts";
import { DEFAULT_POD_NETWORKS } from "../cluster/manifests/options.ts";
import { ManifestSource } from "../cluster/manifests/source.ts";
import { type CommandLine, type Config, givenAddresses } from "../config/config.ts";
import { obtainPrivileges } from "../lab/privileges.ts";
import { type LabRun, startLab } from "../lab/run.ts";
import { DEFAULT_NODE } from "../lab/topology.ts";
import { announce, tellIgnoredFlags } from "./announce.ts";
import { printLines } from "./io.ts";
import { runNode } from "./run_node.ts";
import { serveUntil } from "./serve.ts";
import { endRequested } from "./signals.ts";

const logger = getLogger(["switchyard", "lab"]);

/** The manifests that a lab without others starts with. */
const EXAMPLES = fileURLToPath(new URL("../../examples", import.meta.url));

/** Width of the table where there is no terminal to ask. */
const DEFAULT_WIDTH = 120;

/** What the lab has where the command line says nothing. */
export function labConfig({ config, given }: Pick<CommandLine, "config" | "given">): Config {
  const healthz = config.healthzBindAddress;
  const addresses = givenAddresses(config);
  return {
    ...config,
    manifests: config.manifests ?? EXAMPLES,
    nodeName: given.has("hostname-override") ? config.nodeName : DEFAULT_NODE.name,
    nodeIPs: addresses.length > 0 ? addresses : DEFAULT_NODE.addresses,
    clusterCIDRs: config.clusterCIDRs.length > 0 ? config.clusterCIDRs : DEFAULT_POD_NETWORKS,
    // The lab is nobody else's business: its health is not for other machines to see.
    healthzBindAddress: healthz === null || given.has("healthz-bind-address")
      ? healthz
      : { ...healthz, host: "127.0.0.1" },
  };
}

/** Runs the lab until a signal comes; resolves with the exit status. */
export async function runLab(line: CommandLine): Promise<number> {
  const config = labConfig(line);
  if (config.proxyMode !== null) checkMode(config, config.proxyMode);
  const privileges = obtainPrivileges();
  if (!privileges.namespaces) {
    logger.warn("no lab: {reason}", { reason: privileges.reason });
    return await runNode({ ...config, proxyMode: null }, { queryOnly: true });
  }
  const end = endRequested();
  tellIgnoredFlags(config);
  const lab = await startLab({
    node: { name: config.nodeName, addresses: config.nodeIPs },
    userNamespace: privileges.userNamespace,
    problems: problemLogger(),
  });
  try {
    // A thread that enters the node to run a program there could not come back.
    const noPrograms = privileges.userNamespace
      ? "programs of the node need root of the host"
      : null;
    return await serve(config, lab, noPrograms, end);
  } finally {
    await lab.stop();
  }
}

/** Logs each problem once for as long as it lasts. */
function problemLogger(): (lines: readonly string[]) => void {
  let known: ReadonlySet<string> = new Set();
  return (lines) => {
    for (const line of lines) if (!known.has(line)) logger.warn("{line}", { line });
    known = new Set(lines);
  };
}

async function serve(
  config: Config,
  lab: LabRun,
  noPrograms: string | null,
  end: Promise<void>,
): Promise<number> {
  const source = new ManifestSource({
    path: config.manifests!,
    watch: true,
    serviceClusterIPRanges: config.serviceClusterIPRanges,
    podNetworks: config.clusterCIDRs,
    nodeName: config.nodeName,
    onPods: (pods) => lab.setPods(pods),
  });
  const namespaceFd = lab.nodeNamespaceFd;
  const { dataPlane, note, onSyncNeeded } = await openDataPlane(config, {
    namespaceFd,
    noPrograms,
  });
  if (note !== null) logger.info("{note}", { note });
  const running = await startAgent(config, {
    source: lab.follow(source),
    dataPlane,
    onSyncNeeded,
    programming: true,
    namespaceFd,
    localAddresses: [],
  });
  await serveUntil(config, end, running, () => show(config, lab, running));
  return 0;
}

/** Asks every frontend once and shows who answered. */
async function show(config: Config, lab: LabRun, running: RunningAgent): Promise<void> {
  const { lines, rows, problems } = await lab.report(running.agent.plan, terminalWidth());
  if (config.output === "json") {
    printLines(JSON.stringify({ event: "report", problems, rows }));
  } else {
    printLines(...lines, "");
  }
  announce(config, running, true);
  if (config.output === "text") {
    printLines(
      "ask from inside: deno task lab exec client -- curl http://ADDRESS:PORT; end with Ctrl-C",
    );
  }
  if (problems > 0) logger.warn("{problems} answers were not as planned", { problems });
}

function terminalWidth(): number {
  return Deno.stdout.isTerminal() ? Deno.consoleSize().columns : DEFAULT_WIDTH;
}
