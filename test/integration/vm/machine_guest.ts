/**
 * Guest tests that end in every way there is; machine_test.ts looks at what the host learns.
 *
 * @module
 */

Deno.test("passes", () => {});

Deno.test({
  name: "is left out",
  ignore: true,
  fn() {
    throw new Error("left out");
  },
});

Deno.test("fails", () => {
  throw new RangeError("as it must");
});

export const tests = {
  /** Its file is written into the layer in memory, never into this machine's folder. */
  async "returns what it saw"(): Promise<unknown> {
    const folder = new URL(".", import.meta.url);
    await Deno.writeTextFile(new URL("written-by-the-guest", folder), "");
    return {
      links: Deno.readTextFileSync("/proc/net/dev").trim().split("\n").length - 2,
      uid: Deno.uid(),
      release: Deno.osRelease(),
    };
  },
};
