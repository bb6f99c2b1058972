/**
 * What the agent does, as events for the clients of the HTTP API.
 *
 * @module
 */

import { type EventHub, MOST_LISTED } from "../api/events/hub.ts";
import { formatProblem } from "../cluster/source.ts";
import { serviceKey } from "../plan/plan.ts";
import type { AgentObserver } from "./agent.ts";

/** Tells a hub of every sync, and of what it changed. */
export function eventsTo(hub: EventHub): AgentObserver {
  return {
    queued() {},
    synced({ durationMs, ok, error, change }) {
      const updated = change.updated.map(serviceKey);
      const { removed } = change;
      const node = change.node !== null;
      if (ok && (node || updated.length + removed.length > 0)) {
        hub.publish({
          type: "change",
          node,
          updated: updated.slice(0, MOST_LISTED),
          updatedTotal: updated.length,
          removed: removed.slice(0, MOST_LISTED),
          removedTotal: removed.length,
        });
      }
      hub.publish({ type: "sync", ok, durationMs, error });
    },
    problems(problems) {
      hub.publish({
        type: "problems",
        problems: problems.slice(0, MOST_LISTED).map(formatProblem),
        total: problems.length,
      });
    },
  };
}

/** Tells several observers; those that are not there are left out. */
export function observers(
  ...given: readonly (AgentObserver | null | undefined)[]
): AgentObserver {
  const all = given.filter((observer) => observer !== null && observer !== undefined);
  return {
    queued: (changes) => all.forEach((observer) => observer.queued(changes)),
    synced: (sync) => all.forEach((observer) => observer.synced(sync)),
    programmed: (latencies) => all.forEach((observer) => observer.programmed?.(latencies)),
    problems: (problems) => all.forEach((observer) => observer.problems?.(problems)),
  };
}
