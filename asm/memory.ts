/**
 * The engine's memory: regions laid out once, one behind the other, and never moved. The host makes
 * the memory with exactly the pages that {@link pagesFor} asks for.
 */

let top: usize = 0;

/** Starts laying out; static data lies below. */
export function beginLayout(): void {
  top = (__heap_base + 63) & ~63;
}

/** Takes the next region, aligned to 64 bytes. It is zero. */
export function region(bytes: usize): usize {
  const start = top;
  top = (top + bytes + 63) & ~63;
  return start;
}

/** Pages (64 KiB) of everything laid out so far. */
export function pagesLaidOut(): u32 {
  return <u32>((top + 0xffff) >> 16);
}

/** The smallest power of two that is not below n. */
export function powerOfTwo(n: u32): u32 {
  return n <= 1 ? 1 : <u32>1 << (32 - clz<u32>(n - 1));
}
