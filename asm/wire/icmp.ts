/** ICMP (RFC 792). */

/** Bytes before the quoted packet of an error. */
export const ICMP_SIZE: u32 = 8;

export const UNREACHABLE: u8 = 3;
export const PORT_UNREACHABLE: u8 = 3;
export const FRAGMENTATION_NEEDED: u8 = 4;
const SOURCE_QUENCH: u8 = 4;
export const REDIRECT: u8 = 5;
const TIME_EXCEEDED: u8 = 11;
const PARAMETER_PROBLEM: u8 = 12;

/** Whether a message of this type quotes the packet that it is about. */
export function isError(type: u8): bool {
  return type == UNREACHABLE || type == SOURCE_QUENCH || type == REDIRECT ||
    type == TIME_EXCEEDED || type == PARAMETER_PROBLEM;
}
