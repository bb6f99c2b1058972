/**
 * Much work in small steps, between which others have their turn.
 *
 * @module
 */

/** How long others may have to wait, milliseconds. */
const TURN_MS = 10;

/** Tells when it is time to let others have their turn. */
export class Turns {
  #end = performance.now() + TURN_MS;

  /** Whether it is time. */
  get over(): boolean {
    return performance.now() >= this.#end;
  }

  /** Goes on when others had theirs. */
  async next(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 0));
    this.#end = performance.now() + TURN_MS;
  }
}

/** What steps return; others have their turn in between. */
export async function inTurns<T>(steps: Generator<void, T, void>): Promise<T> {
  for (const turns = new Turns();;) {
    const { done, value } = steps.next();
    if (done) return value;
    if (turns.over) await turns.next();
  }
}
