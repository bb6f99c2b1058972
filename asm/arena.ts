/**
 * Two arenas for what varies in length: one for lists (pools, source ranges), one for what schedulers
 * build over them, so that many large tables leave room for the lists. Each gives blocks of 64 bytes
 * times a power of two, freed into one list per size. A freed block is used again for its own size
 * only.
 */

import { region } from "./memory";

const SMALLEST: u32 = 64;
const CLASSES: u32 = 24;

/** Followed by the heads of its lists of freed blocks, and then by the blocks. */
@unmanaged
class Arena {
  /** Bytes that were ever given. */
  given: usize;
}

const HEADS: usize = offsetof<Arena>();
const BLOCKS: usize = (HEADS + CLASSES * 4 + 63) & ~63;

let lists: usize = 0;
let listRoom: usize = 0;
let tables: usize = 0;
let tableRoom: usize = 0;

/** Lays both out, in bytes. */
export function layoutArenas(listBytes: u32, tableBytes: u32): void {
  listRoom = listBytes;
  lists = region(BLOCKS + listRoom);
  tableRoom = tableBytes;
  tables = region(BLOCKS + tableRoom);
}

// @ts-ignore: decorator
@inline
function classOf(bytes: u32): u32 {
  return bytes <= SMALLEST ? 0 : 26 - clz<u32>(bytes - 1);
}

/** A block for a list of at least `bytes`, or 0 when there is none. Its content is undefined. */
export function allocate(bytes: u32): usize {
  return take(lists, listRoom, bytes);
}

/** The same for a scheduler's table. */
export function allocateTable(bytes: u32): usize {
  return take(tables, tableRoom, bytes);
}

function take(from: usize, room: usize, bytes: u32): usize {
  const size = classOf(bytes);
  if (size >= CLASSES) return 0;
  const arena = changetype<Arena>(from);
  const head = from + HEADS + (<usize>size << 2);
  const block = <usize>load<u32>(head);
  if (block != 0) {
    store<u32>(head, load<u32>(block));
    return block;
  }
  const length = <usize>SMALLEST << size;
  if (room - arena.given < length) return 0;
  const fresh = from + BLOCKS + arena.given;
  arena.given += length;
  return fresh;
}

/** Gives back what {@link allocate} gave for the same number of bytes. */
export function release(block: usize, bytes: u32): void {
  give(lists, block, bytes);
}

/** The same for {@link allocateTable}. */
export function releaseTable(block: usize, bytes: u32): void {
  give(tables, block, bytes);
}

function give(to: usize, block: usize, bytes: u32): void {
  if (block == 0) return;
  const head = to + HEADS + (<usize>classOf(bytes) << 2);
  store<u32>(block, load<u32>(head));
  store<u32>(head, <u32>block);
}
