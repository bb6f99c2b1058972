import assert from "node:assert/strict";
import { z } from "@hono/zod-openapi";
import fc from "fast-check";
import { Hono } from "hono";
import { readQuery } from "../../src/api/query.ts";

const ANY = z.record(z.string(), z.union([z.string(), z.array(z.string())]));

const app = new Hono();
app.get(
  "/mine",
  (context) =>
    context.json(readQuery(context, { schema: ANY, of: (query) => query, plain: () => null })),
);
app.get("/framework", (context) => {
  const found: [string, string | string[]][] = Object.entries(context.req.queries())
    .map(([name, values]) => [name, values.length === 1 ? values[0] : values]);
  return context.json(Object.fromEntries(found));
});

async function ask(path: string, query: string): Promise<unknown> {
  return await (await app.request(`http://localhost${path}${query}`)).json();
}

Deno.test("queries are read as the framework reads them", async () => {
  const part = fc.constantFrom(
    "a",
    "b",
    "toString",
    "=",
    "&",
    "?",
    "%41",
    "%",
    "+",
    "",
    "10.0.0.1",
  );
  const query = fc.array(part, { maxLength: 12 }).map((parts) => `?${parts.join("")}`);
  await fc.assert(
    fc.asyncProperty(query, async (query) => {
      assert.deepEqual(await ask("/mine", query), await ask("/framework", query));
    }),
    { numRuns: 500 },
  );
  assert.deepEqual(await ask("/mine", "?a=1&b=x=y"), { a: "1", b: "x=y" });
  assert.deepEqual(await ask("/mine", "?a=1&a=2"), { a: ["1", "2"] });
  assert.deepEqual(await ask("/mine", ""), {});
});
