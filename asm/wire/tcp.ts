/** TCP headers (RFC 9293). */

import { DropReason } from "../abi";

/** Bytes of a header without options, and where its checksum is. */
export const TCP_SIZE: u32 = 20;
export const TCP_CHECKSUM: u32 = 16;

export const FIN: u32 = 1;
export const SYN: u32 = 2;
export const RST: u32 = 4;
const PSH: u32 = 8;
export const ACK: u32 = 16;
const URG: u32 = 32;
const ECE: u32 = 64;
const CWR: u32 = 128;

/** What a segment is to conntrack; nf_conntrack's order. */
export const CLASS_SYN: u32 = 0;
export const CLASS_SYNACK: u32 = 1;
export const CLASS_FIN: u32 = 2;
export const CLASS_ACK: u32 = 3;
export const CLASS_RST: u32 = 4;
export const CLASS_NONE: u32 = 5;

// @ts-ignore: decorator
@inline
export function flags(at: usize): u32 {
  return <u32>load<u8>(at, 13);
}

// @ts-ignore: decorator
@inline
export function sequence(at: usize): u32 {
  return bswap<u32>(load<u32>(at, 4));
}

// @ts-ignore: decorator
@inline
export function acknowledgment(at: usize): u32 {
  return bswap<u32>(load<u32>(at, 8));
}

// @ts-ignore: decorator
@inline
export function window(at: usize): u32 {
  return <u32>bswap<u16>(load<u16>(at, 14));
}

// @ts-ignore: decorator
@inline
export function headerLength(at: usize): u32 {
  return (<u32>load<u8>(at, 12) >> 4) << 2;
}

export function classify(flags: u32): u32 {
  if (flags & RST) return CLASS_RST;
  if (flags & SYN) return flags & ACK ? CLASS_SYNACK : CLASS_SYN;
  if (flags & FIN) return CLASS_FIN;
  return flags & ACK ? CLASS_ACK : CLASS_NONE;
}

/** Sequence number behind a segment of `length` bytes, header included; SYN and FIN count one. */
export function segmentEnd(at: usize, length: u32): u32 {
  const f = flags(at);
  return sequence(at) + (length - headerLength(at)) + (f & SYN ? 1 : 0) + (f & FIN ? 1 : 0);
}

/** The same as {@link check}, for bytes 12 to 15 of a header that is within bounds. */
// @ts-ignore: decorator
@inline
export function checkWord(word: u32, length: u32): DropReason {
  const header = (word & 0xf0) >> 2;
  const f = (word >> 8) & (FIN | SYN | RST | ACK | URG);
  if (header < TCP_SIZE || header > length) return DropReason.TcpFlags;
  return ((VALID_FLAGS >> f) & 1) != 0 ? DropReason.None : DropReason.TcpFlags;
}

const ONE: u64 = 1;
/** Bit n stands for the set of flags n, without PSH, ECE and CWR. */
const VALID_FLAGS: u64 = ONE << SYN | ONE << (SYN | URG) | ONE << (SYN | ACK) | ONE << RST |
  ONE << (RST | ACK) | ONE << (FIN | ACK) | ONE << (FIN | ACK | URG) | ONE << ACK |
  ONE << (ACK | URG);

/**
 * Whether the header fits into `length` bytes and its flags are a set that occurs
 * (nf_conntrack's).
 */
export function check(at: usize, length: u32): DropReason {
  if (length < TCP_SIZE) return DropReason.Malformed;
  const header = headerLength(at);
  if (header < TCP_SIZE || header > length) return DropReason.TcpFlags;
  const f = flags(at) & ~(PSH | ECE | CWR);
  const valid = f == SYN || f == (SYN | URG) || f == (SYN | ACK) || f == RST || f == (RST | ACK) ||
    f == (FIN | ACK) || f == (FIN | ACK | URG) || f == ACK || f == (ACK | URG);
  return valid ? DropReason.None : DropReason.TcpFlags;
}
