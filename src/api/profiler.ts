/**
 * CPU profiles of this thread, by V8's own profiler.
 *
 * @module
 */

/** Takes one profile at a time. */
export class CpuProfiler {
  #busy = false;

  get busy(): boolean {
    return this.#busy;
  }

  /** A profile of so many milliseconds, as browsers' developer tools read it (.cpuprofile). */
  async take(ms: number): Promise<string> {
    this.#busy = true;
    const { Session } = await import("node:inspector/promises");
    const session = new Session();
    try {
      session.connect();
      await session.post("Profiler.enable");
      await session.post("Profiler.start");
      await new Promise((resolve) => setTimeout(resolve, ms));
      const { profile } = await session.post("Profiler.stop");
      return JSON.stringify(profile);
    } finally {
      session.disconnect();
      this.#busy = false;
    }
  }
}
