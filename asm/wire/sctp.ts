/** SCTP common header and chunks (RFC 9260). */

/** Bytes of the common header, and where its CRC32c is. */
export const SCTP_SIZE: u32 = 12;
export const SCTP_CHECKSUM: u32 = 8;

export const INIT: u32 = 1;
export const INIT_ACK: u32 = 2;
export const HEARTBEAT: u32 = 4;
export const HEARTBEAT_ACK: u32 = 5;
export const ABORT: u32 = 6;
export const SHUTDOWN: u32 = 7;
export const SHUTDOWN_ACK: u32 = 8;
export const ERROR: u32 = 9;
export const COOKIE_ECHO: u32 = 10;
export const COOKIE_ACK: u32 = 11;
export const SHUTDOWN_COMPLETE: u32 = 14;

// @ts-ignore: decorator
@inline
export function verificationTag(at: usize): u32 {
  return load<u32>(at, 4);
}

/** Reflected CRC32c table for four bits at a time: 16 words. */
const NIBBLES = memory.data<u32>([
  0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
  0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
]);

// @ts-ignore: decorator
@inline
function step(crc: u32, byte: u32): u32 {
  crc ^= byte;
  crc = (crc >> 4) ^ load<u32>(NIBBLES + <usize>((crc & 15) << 2));
  return (crc >> 4) ^ load<u32>(NIBBLES + <usize>((crc & 15) << 2));
}

/** CRC32c of a packet as it belongs into the header: the field itself counts as zero. */
export function crc32c(at: usize, length: u32): u32 {
  let crc: u32 = 0xffffffff;
  for (let i: u32 = 0; i < length; i++) {
    const inField = i >= SCTP_CHECKSUM && i < SCTP_SIZE;
    crc = step(crc, inField ? 0 : <u32>load<u8>(at + i));
  }
  return ~crc;
}
