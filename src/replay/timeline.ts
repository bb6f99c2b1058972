/**
 * The time of a capture, as an engine wants it: from 0 on, never back.
 *
 * @module
 */

/** No clock is later than this, milliseconds since the epoch (ECMA-262, 21.4.1.1). */
const MAX_DATE = 8.64e15;

/** Follows the time of a capture's packets. */
export class Timeline {
  #first: number | null = null;
  #now = 0;

  /** Takes the time of the next packet, null where it has none; milliseconds from the first on. */
  pass(timeMs: number | null): number {
    if (timeMs === null || Math.abs(timeMs) > MAX_DATE) return this.#now;
    this.#first ??= timeMs;
    this.#now = Math.max(this.#now, timeMs - this.#first);
    return this.#now;
  }

  /** The first packet's time, ISO 8601. */
  get startedAt(): string | null {
    return this.at(0);
  }

  get durationMs(): number | null {
    return this.#first === null ? null : this.#now;
  }

  /** A time from the first packet on, ISO 8601. */
  at(ms: number): string | null {
    const time = this.#first === null ? null : this.#first + ms;
    return time === null || Math.abs(time) > MAX_DATE ? null : new Date(time).toISOString();
  }
}
