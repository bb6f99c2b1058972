/**
 * How long ago the changes that a sync brings to the node were made in the cluster.
 *
 * @module
 */

import { objectKey } from "../cluster/objects.ts";
import type { ClusterChange } from "../cluster/source.ts";

/** On EndpointSlices: when the pod or Service changed that they follow (RFC 3339). */
const TRIGGER_TIME = "endpoints.kubernetes.io/last-change-trigger-time";

/** Keeps the times of changes until they are on the node. */
export class TriggerTimes {
  /** Older changes say nothing about this proxy, which was not there to bring them to the node. */
  readonly #since: number;
  /** By EndpointSlice; milliseconds since the epoch. */
  #waiting = new Map<string, number[]>();

  /** @param since milliseconds since the epoch. */
  constructor(since: number) {
    this.#since = since;
  }

  /** Notes a change that the next sync will bring. One of a slice that is gone counts no more. */
  note({ action, object }: ClusterChange): void {
    if (object.kind !== "EndpointSlice") return;
    const key = objectKey(object);
    if (action === "delete") {
      this.#waiting.delete(key);
      return;
    }
    const time = Date.parse(object.metadata.annotations?.[TRIGGER_TIME] ?? "");
    if (!(time > this.#since)) return;
    const times = this.#waiting.get(key);
    if (times === undefined) this.#waiting.set(key, [time]);
    else times.push(time);
  }

  /** Takes what was noted so far. */
  take(): number[] {
    const times = [...this.#waiting.values()].flat();
    this.#waiting = new Map();
    return times;
  }
}
