/** UDP headers (RFC 768). */

import { DropReason } from "../abi";

/** Bytes of a header, and where its checksum is. */
export const UDP_SIZE: u32 = 8;
export const UDP_CHECKSUM: u32 = 6;

// @ts-ignore: decorator
@inline
export function datagramLength(at: usize): u32 {
  return <u32>bswap<u16>(load<u16>(at, 4));
}

/** Whether the length field fits; of a first fragment it may exceed what is there. */
export function check(at: usize, length: u32, isFragment: bool): DropReason {
  if (length < UDP_SIZE) return DropReason.Malformed;
  const datagram = datagramLength(at);
  if (datagram < UDP_SIZE) return DropReason.Malformed;
  return datagram > length && !isFragment ? DropReason.Malformed : DropReason.None;
}
