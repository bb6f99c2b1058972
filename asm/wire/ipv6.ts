/** IPv6 headers and the walk over extension headers (RFC 8200). */

import { DropReason } from "../abi";
import { isMapped } from "../tuple";

/** Bytes of the fixed header. */
export const IPV6_SIZE: u32 = 40;

const HOP_BY_HOP: u32 = 0;
const ROUTING: u32 = 43;
const FRAGMENT: u32 = 44;
const AUTHENTICATION: u32 = 51;
const DESTINATION: u32 = 60;

const MAX_HEADERS: u32 = 8;
const MAX_HEADER_BYTES: u32 = 256;

/**
 * What {@link walk} found: the protocol, where its header begins, and the fragment header's data.
 */
export let transport: u32 = 0;
export let transportOffset: u32 = 0;
export let isFragment: bool = false;
export let fragmentOffset: u32 = 0;
export let moreFragments: bool = false;
export let identification: u32 = 0;
/** Where what was fragmented begins: behind the fragment header. */
let fragmentable: u32 = 0;

// @ts-ignore: decorator
@inline
export function payloadLength(at: usize): u32 {
  return <u32>bswap<u16>(load<u16>(at, 4));
}

function isLoopbackOrUnspecified(hi: u64, lo: u64): bool {
  return hi == 0 && (lo == 0 || lo == <u64>1 << 56);
}

/** Whether a packet of `length` bytes is one that may be forwarded, extension headers apart. */
export function check(at: usize, length: u32): DropReason {
  if (length < IPV6_SIZE) return DropReason.Malformed;
  if (payloadLength(at) + IPV6_SIZE > length) return DropReason.Malformed;
  if (load<u8>(at, 7) == 0) return DropReason.Ttl;
  const fromHi = load<u64>(at, 8), fromLo = load<u64>(at, 16);
  const toHi = load<u64>(at, 24), toLo = load<u64>(at, 32);
  if (load<u8>(at, 8) == 0xff || isLoopbackOrUnspecified(fromHi, fromLo)) return DropReason.Source;
  if (isMapped(fromHi, fromLo)) return DropReason.Source;
  if (load<u8>(at, 24) == 0xff || isLoopbackOrUnspecified(toHi, toLo)) {
    return DropReason.Destination;
  }
  return isMapped(toHi, toLo) ? DropReason.Destination : DropReason.None;
}

/** Whether an address (first word) is link-local, fe80::/10. */
// @ts-ignore: decorator
@inline
export function isLinkLocal(hi: u64): bool {
  return (bswap<u64>(hi) >> 54) == 0x3fa;
}

/** Whether a header is one that {@link walk} steps over. */
export function isExtension(next: u32): bool {
  return next == HOP_BY_HOP || next == ROUTING || next == FRAGMENT || next == AUTHENTICATION ||
    next == DESTINATION;
}

/**
 * Walks to the transport header of a packet that ends at `length`. Stops, as a protocol like any
 * other, at what it does not know. Of a later fragment the offset is where its payload begins.
 */
export function walk(at: usize, length: u32): DropReason {
  let next = <u32>load<u8>(at, 6);
  let offset = IPV6_SIZE;
  isFragment = false;
  fragmentOffset = 0;
  moreFragments = false;
  for (let headers: u32 = 0;; headers++) {
    if (!isExtension(next)) break;
    if (headers == MAX_HEADERS || offset - IPV6_SIZE > MAX_HEADER_BYTES) return DropReason.Options;
    if (offset + 8 > length) return DropReason.Malformed;
    if (next == HOP_BY_HOP && headers > 0) return DropReason.Options;
    const header = at + offset;
    let size: u32 = 8;
    if (next == FRAGMENT) {
      if (isFragment) return DropReason.FragmentMalformed;
      const word = <u32>bswap<u16>(load<u16>(header, 2));
      fragmentOffset = word & 0xfff8;
      moreFragments = (word & 1) != 0;
      identification = load<u32>(header, 4);
      // An atomic fragment is a whole packet (RFC 6946).
      isFragment = fragmentOffset != 0 || moreFragments;
    } else if (next == AUTHENTICATION) {
      size = (<u32>load<u8>(header, 1) + 2) << 2;
    } else {
      size = (<u32>load<u8>(header, 1) + 1) << 3;
      // With segments left the checksum's destination is another address than the header's.
      if (next == ROUTING && load<u8>(header, 3) != 0) return DropReason.Options;
      if (next == ROUTING && load<u8>(header, 2) == 0) return DropReason.Options;
    }
    if (offset + size > length) return DropReason.Malformed;
    const isHere = next == FRAGMENT;
    next = <u32>load<u8>(header);
    offset += size;
    if (isHere) fragmentable = offset;
    if (fragmentOffset != 0) break;
  }
  transport = next;
  transportOffset = offset;
  return DropReason.None;
}

/** Whether a whole packet that {@link walk} went through may be a fragment, if it is one. */
export function fragmentFits(length: u32): bool {
  if (!isFragment) return true;
  const payload = length - fragmentable;
  return fragmentOffset + payload <= 65535 && (!moreFragments || (payload & 7) == 0);
}

/** Bytes of what was fragmented in a fragment of `length` bytes that {@link walk} has accepted. */
export function fragmentLength(at: usize, length: u32): u32 {
  walk(at, length);
  return length - fragmentable;
}

/** Writes a header; addresses as the two little-endian words of their bytes. */
export function write(
  at: usize,
  payload: u32,
  next: u8,
  fromHi: u64,
  fromLo: u64,
  toHi: u64,
  toLo: u64,
): void {
  store<u32>(at, 0x60);
  store<u16>(at, bswap<u16>(<u16>payload), 4);
  store<u8>(at, next, 6);
  store<u8>(at, 64, 7);
  store<u64>(at, fromHi, 8);
  store<u64>(at, fromLo, 16);
  store<u64>(at, toHi, 24);
  store<u64>(at, toLo, 32);
}
