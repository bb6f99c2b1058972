/**
 * The history of what the agent did.
 *
 * @module
 */

import { UsageError } from "../config/usage.ts";
import type { DataPlane } from "../dataplane/dataplane.ts";
import { History, HISTORY_LIMITS } from "../history/history.ts";
import { HistoryStore, StateDirError } from "../history/store.ts";
import type { AgentObserver } from "./agent.ts";

/** A history, and how to let go of where it is kept. */
export interface OpenHistory {
  readonly history: History;
  /** Resolves when all of it is written. */
  close(): Promise<void>;
}

/**
 * The history in a folder, or, without one, a new one that ends with this process.
 *
 * @throws {UsageError} when the folder cannot be used.
 */
export async function openHistory(stateDir: string | null): Promise<OpenHistory> {
  if (stateDir === null) return { history: new History(), close: () => Promise.resolve() };
  const { store, past } = await HistoryStore.open(stateDir).catch((error) => {
    throw error instanceof StateDirError ? new UsageError(`--state-dir: ${error.message}`) : error;
  });
  const history = new History(HISTORY_LIMITS, past);
  store.follow(history);
  return { history, close: () => store.close() };
}

/** Records every sync that changes something. */
export function historyTo(history: History, dataPlane: DataPlane): AgentObserver {
  return {
    queued() {},
    synced({ durationMs, ok, error, change, changes }) {
      const sent = dataPlane.sent?.() ?? [];
      history.record({ timeMs: Date.now(), durationMs, ok, error, change, changes, sent });
    },
  };
}
