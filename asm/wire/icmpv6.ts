/** ICMPv6 (RFC 4443). */

export const UNREACHABLE: u8 = 1;
export const PORT_UNREACHABLE: u8 = 4;

/** Whether a message of this type quotes the packet that it is about: errors are below 128. */
export function isError(type: u8): bool {
  return type >= 1 && type <= 4;
}
