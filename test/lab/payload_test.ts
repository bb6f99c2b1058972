import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { digest, payload, payloadSha256, payloadStream } from "../../src/lab/payload.ts";

Deno.test("stream, blocks and checksum are the same bytes, whatever the length", async () => {
  for (const length of [0, 1, 3, 4, 65535, 65536, 65537, 200_000]) {
    const bytes = new Uint8Array(length);
    let offset = 0;
    for (const block of payload(length)) {
      bytes.set(block, offset);
      offset += block.length;
    }
    assert.equal(offset, length);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    assert.equal(payloadSha256(length), sha256);
    assert.deepEqual(await digest(payloadStream(length)), { bytes: length, sha256 });
  }
});

Deno.test("blocks out of order, doubled or missing change the checksum", () => {
  const blocks = [...payload(4 * 65536)];
  const hash = (order: number[]) => {
    const sum = createHash("sha256");
    for (const place of order) sum.update(blocks[place]);
    return sum.digest("hex");
  };
  const right = hash([0, 1, 2, 3]);
  assert.equal(right, payloadSha256(4 * 65536));
  for (const order of [[0, 2, 1, 3], [0, 1, 1, 3], [0, 1, 2], [3, 2, 1, 0]]) {
    assert.notEqual(hash(order), right);
  }
});
