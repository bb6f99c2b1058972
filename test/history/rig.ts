/** What tests of the history are made of. */

import type { SentRules } from "../../src/history/entry.ts";
import type { RecordedSync } from "../../src/history/history.ts";
import type { Plan } from "../../src/plan/plan.ts";

/** A sync that went well, unless said otherwise. */
export function outcome(
  sync: Pick<RecordedSync, "change" | "changes"> & Partial<RecordedSync>,
): RecordedSync {
  return { timeMs: 1000, durationMs: 1, ok: true, error: null, sent: [], ...sync };
}

export function sent(where: string, text: string): SentRules {
  return { where, lines: text.split("\n").length - 1, text, cut: false };
}

/** A plan that does not change any more, its Services in order. */
export function copyOf({ node, services }: Plan): Plan {
  const sorted = [...services].sort(([a], [b]) => a < b ? -1 : 1);
  return structuredClone({ node, services: new Map(sorted) });
}
