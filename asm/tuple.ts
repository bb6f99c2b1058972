/**
 * Tuples: one direction of a connection, as conntrack keys it.
 *
 * Addresses are 16 bytes as they are on the wire, in two little-endian words; IPv4 is mapped into
 * ::ffff:0:0/96 (which no packet may carry itself). Ports keep network order, source port first, as
 * they are at the start of every transport header.
 */

import { splitmix } from "./random";

@unmanaged
export class Tuple {
  sourceHi: u64;
  sourceLo: u64;
  destHi: u64;
  destLo: u64;
  /** Source port in the low half, destination port in the high one, each in network order. */
  ports: u32;
  /** Protocol | family << 8. */
  meta: u32;
}

/** Bytes of a tuple. */
export const TUPLE_SIZE: usize = offsetof<Tuple>();

/** The low word of an IPv4 address, from its 4 bytes loaded as a little-endian word. */
// @ts-ignore: decorator
@inline
export function mapped(address: u32): u64 {
  return (<u64>address << 32) | 0xffff0000;
}

/** Whether the words are those of an IPv4 address. */
// @ts-ignore: decorator
@inline
export function isMapped(hi: u64, lo: u64): bool {
  return hi == 0 && <u32>lo == 0xffff0000;
}

// @ts-ignore: decorator
@inline
export function sourcePort(t: Tuple): u32 {
  return <u32>bswap<u16>(<u16>t.ports);
}

// @ts-ignore: decorator
@inline
export function destPort(t: Tuple): u32 {
  return <u32>bswap<u16>(<u16>(t.ports >> 16));
}

// @ts-ignore: decorator
@inline
export function protocolOf(t: Tuple): u32 {
  return t.meta & 0xff;
}

// @ts-ignore: decorator
@inline
export function familyOf(t: Tuple): u32 {
  return t.meta >> 8;
}

// @ts-ignore: decorator
@inline
export function equal(a: Tuple, b: Tuple): bool {
  return a.ports == b.ports && a.sourceLo == b.sourceLo && a.destLo == b.destLo &&
    a.meta == b.meta && a.sourceHi == b.sourceHi && a.destHi == b.destHi;
}

/** Writes the opposite direction of `from` into `to`; they must not be the same. */
export function invert(to: Tuple, from: Tuple): void {
  to.sourceHi = from.destHi;
  to.sourceLo = from.destLo;
  to.destHi = from.sourceHi;
  to.destLo = from.sourceLo;
  to.ports = rotl<u32>(from.ports, 16);
  to.meta = from.meta;
}

export let k0: u64 = 0, k1: u64 = 0, k2: u64 = 0, k3: u64 = 0, k4: u64 = 0, k5: u64 = 0;

export function seedHash(seed: u64): void {
  k0 = splitmix(seed ^ 0x6b657930);
  k1 = splitmix(k0);
  k2 = splitmix(k1);
  k3 = splitmix(k2);
  k4 = splitmix(k3);
  k5 = splitmix(k4) | 1;
}

/** One step of NH (the hash in UMAC, RFC 4418): both halves keyed, then multiplied. */
// @ts-ignore: decorator
@inline
function nh(word: u64, key: u64): u64 {
  return <u64>(<u32>word + <u32>key) * <u64>(<u32>(word >> 32) + <u32>(key >> 32));
}

// @ts-ignore: decorator
@inline
function finish(sum: u64): u32 {
  sum ^= sum >> 32;
  sum *= k5;
  return <u32>(sum >> 32);
}

/** What {@link hashTuple} gives for an IPv4 tuple. */
// @ts-ignore: decorator
@inline
export function hash4(source: u32, dest: u32, ports: u32, protocol: u32): u32 {
  return finish(
    <u64>(source + <u32>k0) * <u64>(dest + <u32>(k0 >> 32)) +
      <u64>(ports + <u32>k4) * <u64>(protocol + <u32>(k4 >> 32)),
  );
}

/** The same for an IPv6 tuple; `tail` is ports and meta. */
// @ts-ignore: decorator
@inline
export function hash6(
  sourceHi: u64,
  sourceLo: u64,
  destHi: u64,
  destLo: u64,
  tail: u64,
): u32 {
  return finish(
    nh(sourceHi, k0) + nh(sourceLo, k1) + nh(destHi, k2) + nh(destLo, k3) + nh(tail, k4),
  );
}

/**
 * Keyed hash of a tuple: NH, almost universal for a random key, so that nobody outside can make
 * connections meet in one bucket. IPv4 costs two multiplications less three than IPv6.
 */
// @ts-ignore: decorator
@inline
export function hashTuple(t: Tuple): u32 {
  const tail = <u64>t.ports | (<u64>t.meta << 32);
  if (t.meta >> 8 == 0) {
    return hash4(<u32>(t.sourceLo >> 32), <u32>(t.destLo >> 32), t.ports, t.meta);
  }
  return hash6(t.sourceHi, t.sourceLo, t.destHi, t.destLo, tail);
}

/** Keyed hash of an address and one more word: for frontends, affinity, rate limits. */
export function hashAddress(hi: u64, lo: u64, extra: u64): u32 {
  return finish(nh(hi, k1) + nh(lo, k2) + nh(extra, k3));
}
