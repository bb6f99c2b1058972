/** Long work in short stretches. @module */

/** Longest stretch of work without a breath, in milliseconds. */
const STRETCH_MS = 20;

/** Lets other work of the event loop run in between, but not more often than is worth it. */
export class Breath {
  #end = performance.now() + STRETCH_MS;

  /** To be awaited often; it mostly returns at once. */
  async take(): Promise<void> {
    if (performance.now() < this.#end) return;
    await new Promise((resolve) => setTimeout(resolve));
    this.#end = performance.now() + STRETCH_MS;
  }
}
