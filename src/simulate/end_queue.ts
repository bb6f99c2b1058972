/**
 * What will end and when: a binary heap by time; what ends at the same time comes in the order in
 * which it was put in.
 *
 * @module
 */

/** Numbers by time. */
export class EndQueue {
  readonly #times: number[] = [];
  /** Which came first at the same time. */
  readonly #turns: number[] = [];
  readonly #values: number[] = [];
  #turn = 0;

  get size(): number {
    return this.#times.length;
  }

  /** Time of the next end; Infinity when there is none. */
  get nextTime(): number {
    return this.#times.length === 0 ? Infinity : this.#times[0];
  }

  push(time: number, value: number): void {
    let at = this.#times.length;
    const turn = this.#turn++;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!this.#isBefore(time, turn, above)) break;
      this.#move(above, at);
      at = above;
    }
    this.#put(at, time, turn, value);
  }

  /** Takes the next one out; the queue is not empty. */
  pop(): number {
    const value = this.#values[0];
    const time = this.#times.pop()!;
    const turn = this.#turns.pop()!;
    const last = this.#values.pop()!;
    if (this.#times.length > 0) this.#sink(time, turn, last);
    return value;
  }

  /** Puts an element at the top and down to its place. */
  #sink(time: number, turn: number, value: number): void {
    const size = this.#times.length;
    let at = 0;
    for (let below = 1; below < size; below = 2 * at + 1) {
      const right = below + 1;
      if (right < size && this.#isBefore(this.#times[right], this.#turns[right], below)) {
        below = right;
      }
      if (this.#isBefore(time, turn, below)) break;
      this.#move(below, at);
      at = below;
    }
    this.#put(at, time, turn, value);
  }

  #isBefore(time: number, turn: number, other: number): boolean {
    return time < this.#times[other] || (time === this.#times[other] && turn < this.#turns[other]);
  }

  #move(from: number, to: number): void {
    this.#put(to, this.#times[from], this.#turns[from], this.#values[from]);
  }

  #put(at: number, time: number, turn: number, value: number): void {
    this.#times[at] = time;
    this.#turns[at] = turn;
    this.#values[at] = value;
  }
}
