import assert from "node:assert/strict";
import fc from "fast-check";
import { linesOf } from "../../bench/sync_lines.ts";

Deno.test("lines are the same however the bytes are cut", async () => {
  const line = fc.string({ unit: "grapheme" }).map((text) => text.replaceAll("\n", ""));
  await fc.assert(
    fc.asyncProperty(fc.array(line), fc.integer({ min: 1, max: 7 }), async (lines, size) => {
      const bytes = new TextEncoder().encode(lines.map((text) => text + "\n").join("") + "rest");
      const chunks: Uint8Array[] = [];
      for (let i = 0; i < bytes.length; i += size) chunks.push(bytes.subarray(i, i + size));
      const read: string[] = [];
      for await (const text of linesOf(ReadableStream.from(chunks))) read.push(text);
      assert.deepEqual(read, lines);
    }),
    { numRuns: 200 },
  );
});
