/**
 * What becomes of the agent when its configuration file changes: as kube-proxy, it ends, for whoever
 * started it to start it again with the new one.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import { PathWatcher } from "../cluster/manifests/watch.ts";
import { decodeConfiguration } from "../config/file/decode.ts";
import { messageOf } from "../errors.ts";

const logger = getLogger(["switchyard", "run"]);

/** The watch of a configuration file. */
export interface ConfigurationWatch {
  /** Rejects when the file says something else than before; never resolves. */
  readonly changed: Promise<never>;
  close(): void;
}

/**
 * Watches a configuration file. A content that would be refused at the next start is told, and the
 * agent goes on with the one it has, because a node is better served by that than by none.
 */
export async function watchConfiguration(path: string): Promise<ConfigurationWatch> {
  // A link may be exchanged, and what it leads to may be written.
  const places = new Set([path, await Deno.realPath(path)]);
  const watchers = await Promise.all([...places].map((place) => PathWatcher.open(place)));
  const content = await Deno.readTextFile(path);
  const { promise, reject } = Promise.withResolvers<never>();
  promise.catch(() => {});
  for (const watcher of watchers) {
    follow(watcher, path, content).then((changed) => {
      if (changed) reject(new Error(`--config ${path} has changed; ending, to be started again`));
    }, reject);
  }
  return { changed: promise, close: () => watchers.forEach((watcher) => watcher.close()) };
}

/** Resolves with true at a change for the good, and with false when the watcher is closed. */
async function follow(watcher: PathWatcher, path: string, content: string): Promise<boolean> {
  let refused = "";
  for await (const _ of watcher.changes()) {
    const problem = await readAgain(path, content);
    if (problem === null) return true;
    if (problem !== "" && problem !== refused) {
      logger.error("{problem}; going on with what was there before", { problem });
    }
    refused = problem;
  }
  return false;
}

/** Why the file's content is of no use; "" when it is the same, null when it is new and good. */
async function readAgain(path: string, content: string): Promise<string | null> {
  try {
    const now = await Deno.readTextFile(path);
    if (now === content) return "";
    decodeConfiguration(now, `--config ${path}`);
    return null;
  } catch (error) {
    return messageOf(error);
  }
}
