/**
 * Lists of varying length (pools, source ranges): blocks of 64 bytes times a power of two, freed
 * into one list per size. A freed block is used again for its own size only.
 */

import { region } from "./memory";

const SMALLEST: u32 = 64;
const CLASSES: u32 = 24;

let free: usize = 0;
let bump: usize = 0;
let end: usize = 0;

export function layoutArena(bytes: u32): void {
  free = region(CLASSES * 4);
  bump = region(bytes);
  end = bump + bytes;
}

// @ts-ignore: decorator
@inline
function classOf(bytes: u32): u32 {
  return bytes <= SMALLEST ? 0 : 26 - clz<u32>(bytes - 1);
}

/** A block of at least `bytes`, or 0 when there is none. Its content is undefined. */
export function allocate(bytes: u32): usize {
  const size = classOf(bytes);
  if (size >= CLASSES) return 0;
  const head = free + (<usize>size << 2);
  const block = <usize>load<u32>(head);
  if (block != 0) {
    store<u32>(head, load<u32>(block));
    return block;
  }
  const length = <usize>SMALLEST << size;
  if (end - bump < length) return 0;
  const fresh = bump;
  bump += length;
  return fresh;
}

/** Gives back what {@link allocate} gave for the same number of bytes. */
export function release(block: usize, bytes: u32): void {
  if (block == 0) return;
  const head = free + (<usize>classOf(bytes) << 2);
  store<u32>(block, load<u32>(head));
  store<u32>(head, <u32>block);
}
