/**
 * One proxy for a node: two would undo each other's rules.
 *
 * The node is its network namespace, whatever containers the proxies run in, so that a lab, which has
 * a node of its own, is in nobody's way.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import { type LockHolder, lockNamespace, type NamespaceLock } from "../linux/namespace_lock.ts";

const logger = getLogger(["switchyard", "run"]);

const NAME = "switchyard/node";

/** Another proxy has the node. */
export class NodeTakenError extends Error {
  override readonly name = "NodeTakenError";
}

/**
 * Takes the node, until the lock is disposed of or the process ends.
 *
 * @param uid of this process: another user's process cannot be a proxy, and is not believed.
 * @throws {NodeTakenError} naming the process that has it.
 */
export function lockNode(uid: number | null = Deno.uid()): Disposable {
  const result: NamespaceLock | LockHolder = lockNamespace(NAME);
  if (!("pid" in result)) return result;
  if (result.uid !== null && result.uid !== uid) {
    logger.warn("the lock @{name} of this node is in the way of user {uid}; going on without it", {
      name: NAME,
      uid: result.uid,
    });
    return { [Symbol.dispose]() {} };
  }
  const who = result.pid === 0 ? "in another container" : `process ${result.pid}`;
  throw new NodeTakenError(`another switchyard programs this node: ${who}; end it first`);
}
