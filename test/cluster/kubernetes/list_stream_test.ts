import assert from "node:assert/strict";
import fc from "fast-check";
import { ApiFailure } from "../../../src/cluster/kubernetes/failure.ts";
import { ItemCutter, readList } from "../../../src/cluster/kubernetes/list_stream.ts";
import { inChunks } from "./chunks.ts";

/**
 * Any JSON, with keys and strings that look like the borders of a list. No key needs an escape: V8's
 * JSON.parse itself now and then takes "\n" for "\\" there, and the API has no such keys.
 */
const tricky = fc.constantFrom('"items":[', "items", "}],", '\\"', "[{", "\\", "ü🚦", "\n");
const key = fc.oneof(tricky, fc.string()).filter((text) => !/["\\\p{Cc}]/u.test(text));
const { value: item } = fc.letrec((tie) => ({
  leaf: fc.oneof(tricky, fc.string(), fc.integer(), fc.boolean(), fc.constant(null)),
  value: fc.oneof(
    { depthSize: "small" },
    tie("leaf"),
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(key, tie("value"), { maxKeys: 3 }),
  ),
}));

Deno.test("A list is cut into its items, wherever it is split and whatever they hold", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(item, { maxLength: 5 }),
      fc.record({
        kind: fc.constantFrom("items", "ServiceList"),
        metadata: fc.record({
          resourceVersion: fc.constantFrom("7", "items"),
          continue: fc.constantFrom("", "token", undefined),
        }),
        extra: item,
      }),
      fc.array(fc.nat(30)),
      fc.boolean(),
      fc.constantFrom(undefined, 1, "\t"),
      async (items, rest, sizes, itemsFirst, indent) => {
        const whole = itemsFirst ? { items, ...rest } : { ...rest, items };
        const read: unknown[] = [];
        const body = inChunks(JSON.stringify(whole, null, indent), sizes);
        const metadata = await readList(body, (one) => read.push(one));
        // As JSON keeps them: -0 is 0.
        assert.deepEqual(read, JSON.parse(JSON.stringify(items)));
        assert.equal(metadata.resourceVersion, rest.metadata.resourceVersion);
        assert.equal(metadata.continue, rest.metadata.continue || undefined);
      },
    ),
    { numRuns: 500 },
  );
});

Deno.test("A list without items, or with null for them, has none", async () => {
  for (const items of ["", ',"items":null', ',"items":[]', ',"items": [ ] ']) {
    const read: unknown[] = [];
    const text = `{"metadata":{"resourceVersion":"1"}${items}}`;
    await readList(inChunks(text, [3]), (one) => read.push(one));
    assert.deepEqual(read, []);
  }
});

Deno.test("What is no list, or not all of one, is refused", async () => {
  const whole = '{"metadata":{"resourceVersion":"1"},"items":[{"a":1},{"b":[2]}]}';
  for (let length = 0; length < whole.length; length++) {
    await assert.rejects(readList(inChunks(whole.slice(0, length), [7]), () => {}), ApiFailure);
  }
  for (
    const text of ["[]", "{}", '{"metadata":{}}', "<html>", '{"metadata":{"resourceVersion":""}}']
  ) {
    await assert.rejects(readList(inChunks(text, [7]), () => {}), ApiFailure, text);
  }
});

Deno.test("An item that is too long is refused before it is in memory", () => {
  const cutter = new ItemCutter(() => {}, 100);
  cutter.push(new TextEncoder().encode('{"items":["'));
  const some = new TextEncoder().encode("x".repeat(60));
  cutter.push(some);
  assert.throws(() => cutter.push(some), /more than 100 bytes in an item/);
});
