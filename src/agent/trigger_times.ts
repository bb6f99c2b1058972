/**
 * How long ago the changes that a sync brings to the node were made in the cluster.
 *
 * @module
 */

import { objectKey } from "../cluster/objects.ts";
import type { ClusterChange } from "../cluster/source.ts";
import type { Family } from "../net/address.ts";

/** On EndpointSlices: when the pod or Service changed that they follow (RFC 3339). */
const TRIGGER_TIME = "endpoints.kubernetes.io/last-change-trigger-time";

/** When a change was made in the cluster, milliseconds since the epoch, and to which family. */
export interface TriggerTime {
  readonly family: Family;
  readonly time: number;
}

/** Keeps the times of changes until they are on the node. */
export class TriggerTimes {
  /** Older changes say nothing about this proxy, which was not there to bring them to the node. */
  readonly #since: number;
  /** By EndpointSlice. */
  #waiting = new Map<string, TriggerTime[]>();

  /** @param since milliseconds since the epoch. */
  constructor(since: number) {
    this.#since = since;
  }

  /** Notes a change that the next sync will bring. One of a slice that is gone counts no more. */
  note({ action, object }: ClusterChange): void {
    if (object.kind !== "EndpointSlice" || object.addressType === "FQDN") return;
    const key = objectKey(object);
    if (action === "delete") {
      this.#waiting.delete(key);
      return;
    }
    const time = Date.parse(object.metadata.annotations?.[TRIGGER_TIME] ?? "");
    if (!(time > this.#since)) return;
    const times = this.#waiting.get(key);
    const trigger = { family: object.addressType, time };
    if (times === undefined) this.#waiting.set(key, [trigger]);
    else times.push(trigger);
  }

  /** Takes what was noted so far. */
  take(): TriggerTime[] {
    const times = [...this.#waiting.values()].flat();
    this.#waiting = new Map();
    return times;
  }
}
