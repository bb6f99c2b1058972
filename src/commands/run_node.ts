/**
 * The agent on this very node.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import { interfaceAddresses } from "../agent/addresses.ts";
import { startAgent } from "../agent/assemble.ts";
import { selectMode } from "../agent/mode.ts";
import { QueryOnlyDataPlane } from "../agent/query_only.ts";
import { ManifestSource } from "../cluster/manifests/source.ts";
import type { Config } from "../config/config.ts";
import type { DataPlane, ProxyMode } from "../dataplane/dataplane.ts";
import { UserspaceDataPlane } from "../dataplane/userspace/dataplane.ts";
import { LocalEngine } from "../engine/local.ts";
import { announce, tellIgnoredFlags } from "./announce.ts";
import { serveUntil } from "./serve.ts";
import { endRequested } from "./signals.ts";

const logger = getLogger(["switchyard", "run"]);

/**
 * Serves the manifests on this node until a signal comes; resolves with the exit status.
 *
 * @param options.queryOnly answers queries and leaves the node alone, whatever could be done.
 */
export async function runNode(
  config: Config,
  options: { readonly queryOnly: boolean } = { queryOnly: false },
): Promise<number> {
  const end = endRequested();
  tellIgnoredFlags(config);
  const { mode, note } = selectMode(config);
  if (note !== null && !options.queryOnly) logger.info("{note}", { note });
  const dataPlane = options.queryOnly
    ? answeringDataPlane(mode)
    : await openDataPlane(config, mode);
  const programming = !(dataPlane instanceof QueryOnlyDataPlane);
  const source = new ManifestSource({
    path: config.manifests!,
    watch: true,
    serviceClusterIPRanges: config.serviceClusterIPRanges,
    podNetworks: config.clusterCIDRs,
    nodeName: config.nodeName,
  });
  const localAddresses = interfaceAddresses();
  const running = await startAgent(config, { source, dataPlane, programming, localAddresses });
  await serveUntil(end, running, () => announce(config, running, programming));
  return 0;
}

/**
 * The data plane of the mode; where this node cannot be programmed, only an engine that answers,
 * unless the mode was asked for by name.
 */
async function openDataPlane(config: Config, mode: ProxyMode): Promise<DataPlane> {
  try {
    return await UserspaceDataPlane.start();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    if (config.proxyMode !== null) {
      throw new Error(
        `this node cannot be programmed: ${reason}; run as root, or without --proxy-mode ` +
          "to answer queries only",
      );
    }
    logger.warn("this node is not programmed, only queries are answered: {reason}", { reason });
    return answeringDataPlane(mode);
  }
}

function answeringDataPlane(mode: ProxyMode): QueryOnlyDataPlane {
  return new QueryOnlyDataPlane(mode, LocalEngine.create());
}
