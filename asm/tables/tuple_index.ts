/**
 * The index of conntrack: from a tuple's hash to the entries that may have it.
 *
 * A bucket is one cache line: 15 links, and the number of links that found no room here and went on
 * to the next bucket. A link is an entry's id and the direction of the tuple, and above them as many
 * bits of the hash as fit, so that a bucket is searched by four comparisons, and an entry is touched
 * only where those bits agree. Every tuple has its own link and the hash is keyed, so nobody can make
 * searches long.
 */

import { region } from "../memory";

const BUCKET_SHIFT: u32 = 6;
/** Where a bucket counts the links that went on. */
const PASSED: usize = 60;
/** The comparisons that are links. */
const LINKS: u32 = 0x7fff;
/** Entries that a bucket is meant for: two links each fill two thirds of it. */
const ENTRIES_PER_BUCKET: u32 = 5;

let buckets: usize = 0;
export let count: u32 = 0;
let end: usize = 0;
/** Bits of an id and a direction. */
export let linkBits: u32 = 0;
export let linkMask: u32 = 0;

/** Lays out for ids from 1 to `entries`. */
export function layoutTupleIndex(entries: u32): void {
  count = entries / ENTRIES_PER_BUCKET + 1;
  buckets = region(<usize>count << BUCKET_SHIFT);
  end = buckets + (<usize>count << BUCKET_SHIFT);
  linkBits = 33 - clz<u32>(entries);
  linkMask = (<u32>1 << linkBits) - 1;
}

/** Address of a hash's bucket. */
// @ts-ignore: decorator
@inline
export function bucketOf(hash: u32): usize {
  return bucketFrom(buckets, count, hash);
}

/** The same of an index of `number` buckets from `origin` on. */
// @ts-ignore: decorator
@inline
export function bucketFrom(origin: usize, number: u32, hash: u32): usize {
  return origin + (<usize>((<u64>hash * number) >> 32) << BUCKET_SHIFT);
}

// @ts-ignore: decorator
@inline
function behind(bucket: usize): usize {
  const next = bucket + (1 << BUCKET_SHIFT);
  return next == end ? buckets : next;
}

/** Of the words in a bucket, one bit for each that equals `wanted` under `mask`. */
// @ts-ignore: decorator
@inline
export function compare(bucket: usize, wanted: u32, mask: u32): u32 {
  const w = i32x4.splat(wanted);
  const m = i32x4.splat(mask);
  const a = i32x4.eq(v128.and(v128.load(bucket), m), w);
  const b = i32x4.eq(v128.and(v128.load(bucket, 16), m), w);
  const c = i32x4.eq(v128.and(v128.load(bucket, 32), m), w);
  const d = i32x4.eq(v128.and(v128.load(bucket, 48), m), w);
  const low = i16x8.narrow_i32x4_s(a, b);
  const high = i16x8.narrow_i32x4_s(c, d);
  return i8x16.bitmask(i8x16.narrow_i16x8_s(low, high)) & LINKS;
}

/** The link at the first place of {@link compare}'s result. */
// @ts-ignore: decorator
@inline
export function linkAt(bucket: usize, found: u32): u32 {
  return load<u32>(bucket + (<usize>ctz<u32>(found) << 2)) & linkMask;
}

/** Whether no link agrees with the hash: mostly that is so when a connection is new. */
// @ts-ignore: decorator
@inline
export function isUnlinked(hash: u32): bool {
  const bucket = bucketOf(hash);
  return compare(bucket, hash << linkBits, ~linkMask) == 0 && load<u32>(bucket, PASSED) == 0;
}

let searched: usize = 0;
let remaining: u32 = 0;
let sought: u32 = 0;

/** The first link that agrees with the hash, or 0. {@link nextLink} gives the others. */
export function firstLink(hash: u32): u32 {
  searched = bucketOf(hash);
  sought = hash << linkBits;
  remaining = compare(searched, sought, ~linkMask);
  return nextLink();
}

/** The next link after {@link firstLink}; 0 is the last. No link may come or go in between. */
export function nextLink(): u32 {
  for (;;) {
    while (remaining != 0) {
      const link = linkAt(searched, remaining);
      remaining &= remaining - 1;
      if (link != 0) return link;
    }
    if (load<u32>(searched, PASSED) == 0) return 0;
    searched = behind(searched);
    remaining = compare(searched, sought, ~linkMask);
  }
  return 0;
}

/** Adds a link. There is room for two of every id. */
// @ts-ignore: decorator
@inline
export function addLink(hash: u32, link: u32): void {
  let bucket = bucketOf(hash);
  let free = compare(bucket, 0, 0xffffffff);
  while (free == 0) {
    store<u32>(bucket, load<u32>(bucket, PASSED) + 1, PASSED);
    bucket = behind(bucket);
    free = compare(bucket, 0, 0xffffffff);
  }
  store<u32>(bucket + (<usize>ctz<u32>(free) << 2), (hash << linkBits) | link);
}

/** Removes a link that {@link addLink} added. */
export function removeLink(hash: u32, link: u32): void {
  const word = (hash << linkBits) | link;
  let bucket = bucketOf(hash);
  let found = compare(bucket, word, 0xffffffff);
  while (found == 0) {
    store<u32>(bucket, load<u32>(bucket, PASSED) - 1, PASSED);
    bucket = behind(bucket);
    found = compare(bucket, word, 0xffffffff);
  }
  store<u32>(bucket + (<usize>ctz<u32>(found) << 2), 0);
}

/** The link in a place (0 to 14) of the `skip`-th bucket behind a hash's own, or 0. */
export function linkIn(hash: u32, skip: u32, place: u32): u32 {
  let bucket = bucketOf(hash) + (<usize>skip << BUCKET_SHIFT);
  while (bucket >= end) bucket -= end - buckets;
  return load<u32>(bucket + (<usize>place << 2)) & linkMask;
}

/** Places of a bucket. */
export const PLACES: u32 = 15;
