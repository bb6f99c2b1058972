import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import fc from "fast-check";
import { sha256 } from "../../../src/dataplane/iptables/sha256.ts";

function hex(text: string): string {
  return [...sha256(text)].map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
}

function expected(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

Deno.test("the digest is SHA-256's, whatever the length", () => {
  for (let length = 0; length < 300; length++) {
    const text = "x".repeat(length);
    assert.equal(hex(text), expected(text), `${length} bytes`);
  }
  fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 2000 }), (text) => {
    assert.equal(hex(text), expected(text));
  }));
});
