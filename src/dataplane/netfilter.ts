/**
 * What the modes have in common whose rules netfilter follows.
 *
 * @module
 */

import type { Logger } from "@logtape/logtape";
import type { RenderProblem, SentRules } from "./dataplane.ts";
import type { SyncOutcome } from "./upkeep.ts";

/** What a sync of one family's rules did. */
export interface RuleSync<Drift> extends SyncOutcome {
  readonly sent: SentRules;
  /** Services left out of the rules, of those that were rendered. */
  readonly problems: readonly RenderProblem[];
  /** What others had changed since the last sync, now put right. */
  readonly drift: readonly Drift[];
}

/** So many of the changed parts are told one by one: a flush changes all of them. */
const MOST_DRIFT = 20;

/** Tells people what syncs found wrong, in the cluster and on the node. */
export function reportSyncs<Drift>(
  logger: Logger,
  syncs: readonly RuleSync<Drift>[],
  formatDrift: (drift: Drift) => string,
): void {
  for (const { problems, drift } of syncs) {
    for (const { service, message } of problems) {
      logger.warn("Service {service} is left out: {message}", { service, message });
    }
    for (const item of drift.slice(0, MOST_DRIFT)) {
      logger.warn("someone changed our rules: {drift}", { drift: formatDrift(item) });
    }
    const more = drift.length - MOST_DRIFT;
    if (more > 0) logger.warn("someone changed our rules: {more} more parts of them", { more });
  }
}

/** A family whose rules on the node can be compared with those of its last sync. */
export interface DriftingFamily<Drift> {
  /** Another object after each sync that changed them. */
  readonly rules: unknown;
  drift(): Promise<readonly Drift[]>;
}

/** What others have changed since the last sync; a sync that comes between has it looked for anew. */
export async function driftAtRest<Drift>(
  families: readonly DriftingFamily<Drift>[],
): Promise<Drift[]> {
  while (true) {
    const before = families.map(({ rules }) => rules);
    const drift = (await Promise.all(families.map((family) => family.drift()))).flat();
    if (families.every(({ rules }, i) => rules === before[i])) return drift;
  }
}
