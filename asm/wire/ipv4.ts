/** IPv4 headers (RFC 791). Accessors expect that {@link check} has accepted the header. */

import { DropReason } from "../abi";
import { finish, sum } from "./checksum";

/** Bytes of a header without options. */
export const IPV4_SIZE: u32 = 20;

// @ts-ignore: decorator
@inline
export function headerLength(at: usize): u32 {
  return (<u32>load<u8>(at) & 15) << 2;
}

// @ts-ignore: decorator
@inline
export function totalLength(at: usize): u32 {
  return <u32>bswap<u16>(load<u16>(at, 2));
}

/** Flags and fragment offset, host order. */
// @ts-ignore: decorator
@inline
function fragmentWord(at: usize): u32 {
  return <u32>bswap<u16>(load<u16>(at, 6));
}

/** Fragment offset in bytes. */
// @ts-ignore: decorator
@inline
export function fragmentOffset(at: usize): u32 {
  return (fragmentWord(at) & 0x1fff) << 3;
}

// @ts-ignore: decorator
@inline
export function moreFragments(at: usize): bool {
  return (fragmentWord(at) & 0x2000) != 0;
}

// @ts-ignore: decorator
@inline
export function identification(at: usize): u32 {
  return <u32>load<u16>(at, 4);
}

// @ts-ignore: decorator
@inline
export function protocol(at: usize): u32 {
  return <u32>load<u8>(at, 9);
}

/** Source and destination as little-endian words of their bytes. */
// @ts-ignore: decorator
@inline
export function source(at: usize): u32 {
  return load<u32>(at, 12);
}

// @ts-ignore: decorator
@inline
export function dest(at: usize): u32 {
  return load<u32>(at, 16);
}

/** Whether packets go from such sources to such destinations: RFC 1122 3.2.1.3. */
// @ts-ignore: decorator
@inline
export function mayTravel(source: u32, dest: u32): bool {
  const from = source & 255, to = dest & 255;
  // 0, 127, and all from 224 on.
  return from - 1 < 223 && to - 1 < 223 && from != 127 && to != 127;
}

/** Whether a packet of `length` bytes is one that may be forwarded: RFC 1122, RFC 1812. */
export function check(at: usize, length: u32): DropReason {
  if (length < IPV4_SIZE) return DropReason.Malformed;
  const first = load<u64>(at), second = load<u64>(at, 8);
  const third = load<u32>(at, 16);
  const header = (<u32>first & 15) << 2;
  const total = <u32>bswap<u16>(<u16>(first >> 16));
  if (header < IPV4_SIZE || total < header || total > length) return DropReason.Malformed;
  let covered = (first & 0xffffffff) + (first >> 32) + (second & 0xffffffff) + (second >> 32) + third;
  if (header > IPV4_SIZE) covered += sum(at + IPV4_SIZE, header - IPV4_SIZE);
  if (finish(covered) != 0) return DropReason.HeaderChecksum;
  if (<u8>second == 0) return DropReason.Ttl;
  const from = <u32>(second >> 32) & 255;
  const to = third & 255;
  if (from == 0 || from == 127 || from >= 224) return DropReason.Source;
  if (to == 0 || to == 127 || to >= 224) return DropReason.Destination;
  if (fragmentOffset(at) + total - header > 65535) return DropReason.FragmentMalformed;
  return header == IPV4_SIZE ? DropReason.None : checkOptions(at, header);
}

const LOOSE_ROUTE: u8 = 131;
const STRICT_ROUTE: u8 = 137;

function checkOptions(at: usize, header: u32): DropReason {
  let i = IPV4_SIZE;
  while (i < header) {
    const kind = load<u8>(at + i);
    if (kind == 0) break;
    if (kind == 1) {
      i++;
      continue;
    }
    if (kind == LOOSE_ROUTE || kind == STRICT_ROUTE) return DropReason.Options;
    if (i + 1 >= header) return DropReason.Malformed;
    const size = <u32>load<u8>(at + i + 1);
    if (size < 2 || i + size > header) return DropReason.Malformed;
    i += size;
  }
  return DropReason.None;
}

/** Writes a header without options and with its checksum; addresses as by {@link source}. */
export function write(
  at: usize,
  total: u32,
  tos: u8,
  dontFragment: bool,
  protocol: u8,
  from: u32,
  to: u32,
): void {
  store<u8>(at, 0x45);
  store<u8>(at, tos, 1);
  store<u16>(at, bswap<u16>(<u16>total), 2);
  store<u16>(at, 0, 4);
  store<u16>(at, dontFragment ? 0x40 : 0, 6);
  store<u8>(at, 64, 8);
  store<u8>(at, protocol, 9);
  store<u16>(at, 0, 10);
  store<u32>(at, from, 12);
  store<u32>(at, to, 16);
  store<u16>(at, finish(sum(at, IPV4_SIZE)), 10);
}
