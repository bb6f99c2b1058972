import assert from "node:assert/strict";
import fc from "fast-check";
import { Recent } from "../../src/explain/recent.ts";

Deno.test("a value is made once as long as it is kept, and few are kept", () => {
  fc.assert(fc.property(fc.array(fc.nat(20)), fc.integer({ min: 2, max: 8 }), (keys, most) => {
    const recent = new Recent<number, { readonly key: number }>(most);
    const made = new Map<number, { readonly key: number }>();
    for (const [i, key] of keys.entries()) {
      let isNew = false;
      const value = recent.get(key, () => {
        isNew = true;
        return { key };
      });
      assert.equal(value.key, key);
      if (!isNew) assert.equal(value, made.get(key));
      made.set(key, value);
      // What was asked for among the last half is there; what was not among twice as many is not.
      const since = new Set(keys.slice(0, i).slice(keys.slice(0, i).lastIndexOf(key) + 1));
      const before = keys.slice(0, i).includes(key);
      if (before && since.size < most >> 1) assert.equal(isNew, false);
      if (!before || since.size > most + 1) assert.equal(isNew, true);
    }
  }));
});
