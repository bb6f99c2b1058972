/**
 * Internet checksums (RFC 1071) and their incremental update (RFC 1624, equation 3).
 *
 * Words are read in memory order, little endian; a one's complement sum does not mind, as long as
 * the field itself is read the same way.
 */

/** Folds a sum to 16 bits. */
// @ts-ignore: decorator
@inline
export function fold(sum: u64): u32 {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffffffff) + (sum >> 32);
  let half = (<u32>sum & 0xffff) + (<u32>sum >> 16);
  half = (half & 0xffff) + (half >> 16);
  return half;
}

/** Sum of the bytes from `at`, not folded; an odd last byte is padded with zero. */
export function sum(at: usize, length: u32): u64 {
  let total: u64 = 0;
  const words = at + (length & ~3);
  for (; at < words; at += 4) total += <u64>load<u32>(at);
  if (length & 2) {
    total += <u64>load<u16>(at);
    at += 2;
  }
  if (length & 1) total += <u64>load<u8>(at);
  return total;
}

/** The checksum field's value for a sum. */
// @ts-ignore: decorator
@inline
export function finish(total: u64): u16 {
  return <u16>~fold(total);
}

/** The difference that replacing words of sum `before` by words of sum `after` makes. */
export function delta(before: u64, after: u64): u16 {
  return <u16>fold(<u64>(~fold(before) & 0xffff) + fold(after));
}

/** Updates a complete checksum. */
// @ts-ignore: decorator
@inline
export function update(field: u16, change: u64): u16 {
  return <u16>~fold(<u64>(~<u32>field & 0xffff) + change);
}

/** Updates a partial one, which holds a sum that is not inverted. */
// @ts-ignore: decorator
@inline
export function updatePartial(field: u16, change: u64): u16 {
  return <u16>fold(<u64>field + change);
}

/** Sum of the pseudo header that TCP, UDP and ICMPv6 cover; addresses as words of a tuple. */
export function pseudoHeader(
  sourceHi: u64,
  sourceLo: u64,
  destHi: u64,
  destLo: u64,
  family: u32,
  protocol: u32,
  length: u32,
): u64 {
  let total: u64 = <u64>bswap<u32>(length) + (<u64>protocol << 8);
  if (family == 0) return total + (sourceLo >> 32) + (destLo >> 32);
  total += (sourceHi & 0xffffffff) + (sourceHi >> 32) + (sourceLo & 0xffffffff) +
    (sourceLo >> 32);
  return total + (destHi & 0xffffffff) + (destHi >> 32) + (destLo & 0xffffffff) + (destLo >> 32);
}
