/** A text in UTF-8, in chunks of the given sizes in turn; without sizes, in one. */
export async function* inChunks(
  text: string,
  sizes: readonly number[],
): AsyncGenerator<Uint8Array> {
  const bytes = new TextEncoder().encode(text);
  for (const chunk of chunksOf(bytes, sizes)) yield await Promise.resolve(chunk);
}

/** Sizes of 0 make empty chunks; at least one byte comes in each round. */
export function* chunksOf(bytes: Uint8Array, sizes: readonly number[]): Generator<Uint8Array> {
  const steps = sizes.some((size) => size > 0) ? sizes : [bytes.length];
  for (let start = 0, turn = 0; start < bytes.length; turn++) {
    const size = steps[turn % steps.length];
    yield bytes.slice(start, start + size);
    start += size;
  }
}
