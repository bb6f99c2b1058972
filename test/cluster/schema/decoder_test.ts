import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type Decoder,
  defaulted,
  type Issue,
  list,
  mapOf,
  mapped,
  object,
  optional,
  refuse,
  scalar,
} from "../../../src/cluster/schema/decoder.ts";

/** What a decoder returns, and "path: message" of what is wrong. */
function decoded<T>(decoder: Decoder<T>, value: unknown): { value: T; wrong: string[] } {
  const issues: Issue[] = [];
  const read = decoder(value, issues);
  return { value: read, wrong: issues.map(({ path, message }) => `${path.join(".")}: ${message}`) };
}

const number = scalar("a number", (value) => typeof value === "number" ? value : undefined);

/** A schema, as a decoder and in words. */
type Schema =
  | { readonly kind: "number" }
  | { readonly kind: "list"; readonly of: Schema; readonly max: number }
  | { readonly kind: "map"; readonly of: Schema }
  | { readonly kind: "optional"; readonly of: Schema }
  | { readonly kind: "object"; readonly of: Readonly<Record<string, Schema>> };

function decoderOf(schema: Schema): Decoder<unknown> {
  switch (schema.kind) {
    case "number":
      return number;
    case "list":
      return list(decoderOf(schema.of), schema.max);
    case "map":
      return mapOf(decoderOf(schema.of), "a map");
    case "optional":
      return optional(decoderOf(schema.of));
    case "object":
      return object(
        Object.fromEntries(Object.entries(schema.of).map(([key, of]) => [key, decoderOf(of)])),
      );
  }
}

/** What is wrong with a value, by the words of a schema. */
function expectations(schema: Schema, value: unknown, path: string[] = []): string[] {
  const refused = (what: string) => [`${path.join(".")}: expected ${what}`];
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  switch (schema.kind) {
    case "number":
      return typeof value === "number" ? [] : refused("a number");
    case "optional":
      return value === undefined || value === null ? [] : expectations(schema.of, value, path);
    case "list":
      if (!Array.isArray(value)) return refused("a list");
      if (value.length > schema.max) return refused(`a list of at most ${schema.max} items`);
      return value.flatMap((item, i) => expectations(schema.of, item, [...path, String(i)]));
    case "map":
      if (!isObject) return refused("a map");
      return Object.entries(value)
        .flatMap(([key, item]) => expectations(schema.of, item, [...path, key]));
    case "object":
      if (!isObject) return refused("an object");
      return Object.entries(schema.of).flatMap(([key, of]) =>
        expectations(of, (value as Record<string, unknown>)[key], [...path, key])
      );
  }
}

const key = fc.constantFrom("a", "b", "c");
const { schema: schemas } = fc.letrec<{ schema: Schema }>((tie) => ({
  schema: fc.oneof(
    { depthSize: "small" },
    fc.constant<Schema>({ kind: "number" }),
    fc.record({ kind: fc.constant("list" as const), of: tie("schema"), max: fc.nat(3) }),
    fc.record({ kind: fc.constant("map" as const), of: tie("schema") }),
    fc.record({ kind: fc.constant("optional" as const), of: tie("schema") }),
    fc.record({ kind: fc.constant("object" as const), of: fc.dictionary(key, tie("schema")) }),
  ),
}));
const { value: values } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    fc.constantFrom<unknown>(1, 2, null, "text", true),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(key, tie("value"), { noNullPrototype: true }),
  ),
}));

Deno.test("a decoder finds what is wrong, and where, as its schema has it", () => {
  fc.assert(
    fc.property(schemas, values, (schema, value) => {
      assert.deepEqual(decoded(decoderOf(schema), value).wrong, expectations(schema, value));
    }),
    { numRuns: 500 },
  );
});

Deno.test("an object has its known fields that are there, and is a plain object", () => {
  const decoder = object({ a: optional(number), b: optional(number), c: defaulted(number, 7) });
  fc.assert(
    fc.property(
      fc.dictionary(fc.constantFrom("a", "b", "c", "d"), fc.option(fc.nat())),
      (given) => {
        const { a, b, c } = given;
        const { value, wrong } = decoded(decoder, given);
        assert.deepEqual(wrong, []);
        assert.deepEqual(value, {
          ...(a === null || a === undefined ? {} : { a }),
          ...(b === null || b === undefined ? {} : { b }),
          c: c ?? 7,
        });
        assert.equal(value.constructor, Object);
      },
    ),
  );
});

Deno.test("a list that is too long is not read", () => {
  let read = 0;
  const counted = mapped(number, (one) => {
    read++;
    return one;
  });
  assert.deepEqual(decoded(list(counted, 2), [1, 2, 3]).wrong, [
    ": expected a list of at most 2 items",
  ]);
  assert.equal(read, 0);
});

Deno.test("what is wrong already is not looked into further", () => {
  const even = mapped(number, (one, issues) => {
    if (one % 2 === 1) refuse(issues, "expected an even number");
    return one / 2;
  });
  const sum = mapped(list(even), (all) => all.reduce((one, other) => one + other));
  assert.deepEqual(decoded(sum, [2, 4]), { value: 3, wrong: [] });
  assert.deepEqual(decoded(sum, [3, "x", 4]).wrong, [
    "0: expected an even number",
    "1: expected a number",
  ]);
});

Deno.test("keys of maps are only keys", () => {
  const input = JSON.parse('{"__proto__": 1, "constructor": 2, "toString": 3}');
  const { value, wrong } = decoded(mapOf(number, "a map"), input);
  assert.deepEqual(wrong, []);
  assert.equal(Object.getPrototypeOf(value), Object.prototype);
  assert.deepEqual(Object.entries(value), [["constructor", 2], ["toString", 3]]);
});
