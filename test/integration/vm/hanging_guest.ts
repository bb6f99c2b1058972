/**
 * A guest test that does not end.
 *
 * @module
 */

export const tests = {
  async hangs(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 3_600_000));
  },
};
