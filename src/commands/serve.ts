/**
 * The life of a running agent, from its first sync to its end.
 *
 * @module
 */

import type { RunningAgent } from "../agent/assemble.ts";
import type { Config } from "../config/config.ts";
import { UsageError } from "../config/usage.ts";
import { messageOf } from "../errors.ts";

function broken({ agent: { dataPlane } }: RunningAgent): Promise<never>[] {
  return dataPlane.broken === undefined ? [] : [dataPlane.broken];
}

/** Why the source failed, in the words of what names it. */
function sourceError({ manifests }: Pick<Config, "manifests">, error: unknown): Error {
  const message = messageOf(error);
  return manifests === null
    ? new Error(`the cluster's API: ${message}`)
    : new UsageError(`--manifests: ${message}`);
}

/**
 * Serves until the end is requested, and stops the agent whatever happens.
 *
 * @param onReady called when the initial state is on the node.
 * @throws {UsageError} when the manifests cannot be read at all.
 */
export async function serveUntil(
  config: Pick<Config, "manifests">,
  end: Promise<void>,
  running: RunningAgent,
  onReady: () => void | Promise<void>,
): Promise<void> {
  const source = running.done.catch((error) => {
    throw sourceError(config, error);
  });
  // When this never comes to pass, the source's own failure says why.
  const ready = running.agent.ready.then(() => true, () => false);
  const shown = ready.then((isReady) => isReady ? onReady() : undefined);
  const over = Promise.race([end, source, ...broken(running)]);
  try {
    await Promise.race([over, shown.then(() => over)]);
  } finally {
    await running.stop();
  }
}
