/**
 * A long byte sequence that both ends of a connection know without having it in memory.
 *
 * Every 64 KiB block is the same noise with the block's number at its start, so a block that is
 * lost, doubled, moved or damaged changes the checksum.
 *
 * @module
 */

import { createHash } from "node:crypto";

const BLOCK = 65536;

function noise(): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(BLOCK / 4);
  let state = 0x9e3779b9;
  for (let i = 0; i < words.length; i++) {
    // xorshift32 (Marsaglia 2003).
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
  return new Uint8Array(words.buffer);
}

/** The first `length` bytes in blocks, each an array of its own. */
export function* payload(length: number): Generator<Uint8Array<ArrayBuffer>> {
  const template = noise();
  for (let offset = 0; offset < length; offset += BLOCK) {
    const block = template.slice(0, Math.min(BLOCK, length - offset));
    if (block.length >= 4) new DataView(block.buffer).setUint32(0, offset / BLOCK);
    yield block;
  }
}

/** The first `length` bytes as a stream, made as fast as it is read. */
export function payloadStream(length: number): ReadableStream<Uint8Array<ArrayBuffer>> {
  const blocks = payload(length);
  return new ReadableStream({
    pull(controller) {
      const { value, done } = blocks.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
  });
}

/** SHA-256 of the first `length` bytes, in hexadecimal. */
export function payloadSha256(length: number): string {
  const hash = createHash("sha256");
  for (const block of payload(length)) hash.update(block);
  return hash.digest("hex");
}

/** SHA-256 and length of everything in a stream. */
export async function digest(
  stream: AsyncIterable<Uint8Array> | null,
): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const chunk of stream ?? []) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  return { bytes, sha256: hash.digest("hex") };
}
