/**
 * The agent on this very node.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import { interfaceAddresses } from "../agent/addresses.ts";
import { startAgent } from "../agent/assemble.ts";
import { type OpenDataPlane, openDataPlane } from "../agent/data_plane.ts";
import { checkMode } from "../agent/mode.ts";
import { QueryOnlyDataPlane } from "../agent/query_only.ts";
import type { Config } from "../config/config.ts";
import { UsageError } from "../config/usage.ts";
import { LocalEngine } from "../engine/local.ts";
import { announce, tellIgnoredFlags } from "./announce.ts";
import { serveUntil } from "./serve.ts";
import { endRequested } from "./signals.ts";
import { openSource } from "./source.ts";
import { messageOf } from "../errors.ts";

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
  const { source, close } = await openSource(config);
  const end = endRequested();
  tellIgnoredFlags(config);
  const node = options.queryOnly ? null : await openNode(config);
  if (node?.note) logger.info("{note}", { note: node.note });
  const programming = node !== null;
  const localAddresses = interfaceAddresses();
  const running = await startAgent(config, {
    source,
    dataPlane: node?.dataPlane ?? answeringDataPlane(config),
    onSyncNeeded: node?.onSyncNeeded,
    programming,
    localAddresses,
  });
  try {
    await serveUntil(config, end, running, () => announce(config, running, programming));
  } finally {
    close();
  }
  return 0;
}

/** Null where this node cannot be programmed and no mode was asked for by name. */
async function openNode(config: Config): Promise<OpenDataPlane | null> {
  try {
    return await openDataPlane(config, { noIptables: null });
  } catch (error) {
    if (error instanceof UsageError) throw error;
    const reason = messageOf(error);
    if (config.proxyMode !== null) {
      throw new Error(
        `this node cannot be programmed: ${reason}; run as root, or without --proxy-mode ` +
          "to answer queries only",
      );
    }
    logger.warn("this node is not programmed, only queries are answered: {reason}", { reason });
    return null;
  }
}

/** Only an engine that answers. */
function answeringDataPlane(config: Config): QueryOnlyDataPlane {
  const mode = config.proxyMode ?? "userspace";
  checkMode(config, mode);
  return new QueryOnlyDataPlane(mode, LocalEngine.create());
}
