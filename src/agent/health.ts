/**
 * Whether the proxy works, by kube-proxy's rules: not a heartbeat, but whether changes reach the
 * node in time. A cluster without changes is healthy for ever.
 *
 * @module
 */

import type { HealthReport } from "../api/state.ts";
import type { Node } from "../cluster/objects.ts";
import type { Family } from "../net/address.ts";
import { type Clock, systemClock } from "./clock.ts";

/** A node that the cluster autoscaler is about to delete has a taint with this key. */
const TO_BE_DELETED_TAINT = "ToBeDeletedByClusterAutoscaler";

interface FamilyState {
  /** When the oldest change that the node has not got yet came; null: it has all. */
  oldestPending: number | null;
  /** When the node last got everything; null: never yet, so that nothing can be judged. */
  lastUpdated: number | null;
}

/** Follows changes on their way to the node. */
export class ProxyHealth {
  readonly #families: ReadonlyMap<Family, FamilyState>;
  readonly #timeoutMs: number;
  readonly #clock: Clock;
  #nodeEligible = true;

  /** @param timeoutMs how long a change may take: kube-proxy allows twice its sync period. */
  constructor(families: readonly Family[], timeoutMs: number, clock: Clock = systemClock) {
    this.#families = new Map(
      families.map((family) => [family, { oldestPending: null, lastUpdated: null }]),
    );
    this.#timeoutMs = timeoutMs;
    this.#clock = clock;
  }

  /** A change came that the node has to get. */
  queued(): void {
    for (const state of this.#families.values()) state.oldestPending ??= this.#clock.now();
  }

  /** The node has everything, except for changes that wait since `pendingSince`. */
  updated(pendingSince: number | null = null): void {
    for (const state of this.#families.values()) {
      state.lastUpdated = this.#clock.now();
      state.oldestPending = pendingSince;
    }
  }

  /** This node's object, or null when it is gone. */
  nodeChanged(node: Node | null): void {
    if (node === null) return;
    const tainted = node.spec?.taints?.some((taint) => taint.key === TO_BE_DELETED_TAINT) ?? false;
    this.#nodeEligible = !tainted && node.metadata.deletionTimestamp === undefined;
  }

  /** How it is now. */
  report(): HealthReport {
    const now = this.#clock.now();
    const status = [...this.#families].flatMap(([family, state]) => {
      if (state.lastUpdated === null) return [];
      const healthy = state.oldestPending === null || now - state.oldestPending < this.#timeoutMs;
      return [{ family, healthy, lastUpdated: state.lastUpdated }];
    });
    const firstUnhealthy = status.find((family) => !family.healthy);
    return {
      healthy: firstUnhealthy === undefined,
      nodeEligible: this.#nodeEligible,
      currentTime: now,
      lastUpdated: firstUnhealthy?.lastUpdated ?? now,
      status,
    };
  }
}
