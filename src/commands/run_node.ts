/**
 * The agent on this very node.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import { followAddresses, interfaceAddresses } from "../agent/addresses.ts";
import { startAgent } from "../agent/assemble.ts";
import { ClusterEvents } from "../agent/cluster_events.ts";
import { checkMode } from "../agent/mode.ts";
import { QueryOnlyDataPlane } from "../agent/query_only.ts";
import type { Config } from "../config/config.ts";
import { LocalEngine } from "../engine/local.ts";
import { announce, tellIgnoredFlags } from "./announce.ts";
import { watchConfiguration } from "./config_watch.ts";
import { openNode } from "./open_node.ts";
import { serveUntil } from "./serve.ts";
import { endRequested } from "./signals.ts";
import { openSource } from "./source.ts";

const logger = getLogger(["switchyard", "run"]);

/**
 * Serves what manifests or the cluster's API say on this node until a signal comes; resolves with
 * the exit status.
 *
 * @param options.queryOnly answers queries and leaves the node alone, whatever could be done.
 */
export async function runNode(
  config: Config,
  options: { readonly queryOnly: boolean } = { queryOnly: false },
): Promise<number> {
  if (config.proxyMode !== null) checkMode(config, config.proxyMode);
  const { source, events, onAnswer, close } = await openSource(config);
  const end = endRequested();
  const { configFile, nodeName } = config;
  const watch = configFile === null ? null : await watchConfiguration(configFile);
  tellIgnoredFlags(config);
  const node = options.queryOnly ? null : await openNode(config);
  using _lock = node?.lock;
  if (node?.note) logger.info("{note}", { note: node.note });
  const programming = node !== null;
  const running = await startAgent(config, {
    source,
    dataPlane: node?.dataPlane ?? answeringDataPlane(config),
    onSyncNeeded: node?.onSyncNeeded,
    onAnswer,
    programming,
    localAddresses: interfaceAddresses(),
    clusterEvents: events === null ? undefined : new ClusterEvents(events, nodeName),
  });
  // With addresses that were given, the interfaces' don't count.
  using _addresses = programming && config.nodeIPs.length === 0
    ? followAddresses((addresses) => running.agent.setLocalAddresses(addresses))
    : undefined;
  const over = watch === null ? end : Promise.race([end, watch.changed]);
  try {
    await serveUntil(config, over, running, () => announce(config, running, programming));
  } finally {
    watch?.close();
    await close();
  }
  return 0;
}

/** Only an engine that answers. */
function answeringDataPlane(config: Config): QueryOnlyDataPlane {
  const mode = config.proxyMode ?? "userspace";
  checkMode(config, mode);
  return new QueryOnlyDataPlane(mode, LocalEngine.create());
}
