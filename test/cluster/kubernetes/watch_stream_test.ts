import assert from "node:assert/strict";
import fc from "fast-check";
import { ApiFailure } from "../../../src/cluster/kubernetes/failure.ts";
import { LineSplitter, parseWatchEvent } from "../../../src/cluster/kubernetes/watch_stream.ts";
import { chunksOf } from "./chunks.ts";

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

Deno.test("Lines come out whole, wherever the stream is split", () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: "binary" })), fc.array(fc.nat(20)), (texts, sizes) => {
      const lines = texts.map((text) => text.replaceAll("\n", " "));
      const splitter = new LineSplitter();
      const read: string[] = [];
      for (const chunk of chunksOf(encode(lines.map((line) => `${line}\n`).join("")), sizes)) {
        for (const line of splitter.push(chunk)) {
          read.push(new TextDecoder("utf-8", { ignoreBOM: true }).decode(line));
        }
      }
      assert.deepEqual(read, lines);
    }),
    { numRuns: 500 },
  );
});

Deno.test("A line that is too long is refused before it is in memory", () => {
  const splitter = new LineSplitter(10);
  assert.deepEqual([...splitter.push(encode("123456789\n1234"))].length, 1);
  assert.throws(() => [...splitter.push(encode("5678901"))], /longer than 10 bytes/);
});

Deno.test("An event is its type, its version and its object", () => {
  const object = { kind: "Service", metadata: { name: "a", resourceVersion: "7" } };
  for (const type of ["ADDED", "MODIFIED", "DELETED"]) {
    assert.deepEqual(parseWatchEvent(encode(JSON.stringify({ type, object }))), {
      type,
      version: "7",
      object,
    });
  }
  assert.deepEqual(parseWatchEvent(encode(JSON.stringify({ type: "BOOKMARK", object }))), {
    type: "BOOKMARK",
    version: "7",
  });
  assert.equal(parseWatchEvent(encode("")), null);
});

Deno.test("An ERROR event is the failure that its Status tells of", () => {
  const object = {
    kind: "Status",
    code: 429,
    reason: "TooManyRequests",
    message: "slow\ndown",
    details: { retryAfterSeconds: 3 },
  };
  assert.throws(
    () => parseWatchEvent(encode(JSON.stringify({ type: "ERROR", object }))),
    (error) =>
      error instanceof ApiFailure && error.message === "status 429: TooManyRequests: slow down" &&
      error.details.retryAfterMs === 3000 && !error.expired,
  );
  const gone = { type: "ERROR", object: { kind: "Status", reason: "Expired" } };
  assert.throws(
    () => parseWatchEvent(encode(JSON.stringify(gone))),
    (error) => error instanceof ApiFailure && error.expired,
  );
});

Deno.test("What is no event is refused", () => {
  const version = { resourceVersion: "1" };
  const wrong = [
    null,
    [],
    "ADDED",
    { type: "ADDED" },
    { type: "ADDED", object: null },
    { type: "ADDED", object: { metadata: {} } },
    { type: "ADDED", object: { metadata: { resourceVersion: "" } } },
    { type: "ADDED", object: { metadata: { resourceVersion: 1 } } },
    { type: "RENAMED", object: { metadata: version } },
  ].map((value) => JSON.stringify(value));
  for (const text of [...wrong, "{", "\ufffd\u0000"]) {
    assert.throws(() => parseWatchEvent(encode(text)), ApiFailure, text);
  }
  assert.throws(() => parseWatchEvent(new Uint8Array([0x22, 0xff, 0x22])), ApiFailure);
});
