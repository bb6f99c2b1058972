/**
 * Taking hold of this node: its lock, the kernel's settings, and the data plane.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import { type OpenDataPlane, openDataPlane } from "../agent/data_plane.ts";
import { setConntrack, setOomScore } from "../agent/kernel_settings.ts";
import { lockNode, NodeTakenError } from "../agent/node_lock.ts";
import { isInPod } from "../cluster/kubernetes/access.ts";
import type { Config } from "../config/config.ts";
import { UsageError } from "../config/usage.ts";
import { messageOf } from "../errors.ts";

const logger = getLogger(["switchyard", "run"]);

/** A node that is this process's to program. */
export interface OpenNode extends OpenDataPlane {
  /** Held until it is disposed of or the process ends. */
  readonly lock: Disposable;
}

/**
 * Null where this node cannot be programmed, no mode was asked for by name, and nobody relies on it.
 *
 * @throws {NodeTakenError} when another process programs it.
 */
export async function openNode(config: Config): Promise<OpenNode | null> {
  let lock: Disposable | null = null;
  try {
    lock = lockNode();
    setKernel(config);
    return { ...await openDataPlane(config, { noPrograms: null }), lock };
  } catch (error) {
    lock?.[Symbol.dispose]();
    if (error instanceof UsageError || error instanceof NodeTakenError) throw error;
    const reason = messageOf(error);
    if (config.proxyMode !== null) {
      throw new Error(
        `this node cannot be programmed: ${reason}; run as root with CAP_NET_ADMIN, or without ` +
          "--proxy-mode to answer queries only",
      );
    }
    // In kube-proxy's place, a node that is not programmed must not look as if it were.
    if (config.configFile !== null || isInPod()) {
      throw new Error(`this node cannot be programmed: ${reason}`);
    }
    logger.warn("this node is not programmed, only queries are answered: {reason}", { reason });
    return null;
  }
}

/** Connection tracking is the kernel's affair in all modes but userspace. */
function setKernel({ proxyMode, conntrack, oomScoreAdj }: Config): void {
  if (Deno.uid() !== 0) return;
  try {
    setOomScore(oomScoreAdj);
  } catch (error) {
    logger.debug("oom-score-adj stays as it is: {error}", { error: messageOf(error) });
  }
  if (proxyMode === "userspace") return;
  for (const failure of setConntrack(conntrack)) {
    logger.warn("connection tracking stays as it is: {failure}", { failure });
  }
}
