/** What the schedulers that hash make of a packet's addresses. */

import { isMapped } from "../tuple";

/** An address as one 32-bit number: IPv4 as it is, IPv6 its four words, exclusive or. */
export function fold(hi: u64, lo: u64): u32 {
  if (isMapped(hi, lo)) return bswap<u32>(<u32>(lo >> 32));
  const both = hi ^ lo;
  return bswap<u32>(<u32>both ^ <u32>(both >> 32));
}

/** The upper byte of a product with the golden ratio: hash_32(n, 8) in Linux. */
// @ts-ignore: decorator
@inline
export function hash8(n: u32): u32 {
  return (n * 0x61c88647) >> 24;
}

/** SipHash-1-3 of one 32-bit word with two equal halves of a key, of which the low half is kept. */
export function siphash13(word: u32, key: u64): u32 {
  v0 = 0x736f6d6570736575 ^ key;
  v1 = 0x646f72616e646f6d ^ key;
  v2 = 0x6c7967656e657261 ^ key;
  v3 = 0x7465646279746573 ^ key;
  const block = (<u64>4 << 56) | word;
  v3 ^= block;
  round();
  v0 ^= block;
  v2 ^= 0xff;
  round();
  round();
  round();
  return <u32>(v0 ^ v1 ^ v2 ^ v3);
}

let v0: u64 = 0;
let v1: u64 = 0;
let v2: u64 = 0;
let v3: u64 = 0;

function round(): void {
  v0 += v1;
  v1 = rotl<u64>(v1, 13) ^ v0;
  v0 = rotl<u64>(v0, 32);
  v2 += v3;
  v3 = rotl<u64>(v3, 16) ^ v2;
  v0 += v3;
  v3 = rotl<u64>(v3, 21) ^ v0;
  v2 += v1;
  v1 = rotl<u64>(v1, 17) ^ v2;
  v2 = rotl<u64>(v2, 32);
}
