/** The virtio-net header before every packet (linux/virtio_net.h), little endian. */

/** Bytes: the 12-byte form keeps the IP header aligned to 4. */
export const VNET_SIZE: u32 = 12;

/** The checksum at start + offset holds only the pseudo header's sum; the kernel finishes it. */
const NEEDS_CSUM: u8 = 1;

/**
 * Whether the transport checksum of a header at `start`, with its field at `offset`, is partial.
 */
// @ts-ignore: decorator
@inline
export function isPartial(vnet: usize, start: u32, offset: u32): bool {
  return (load<u8>(vnet) & NEEDS_CSUM) != 0 && <u32>load<u16>(vnet, 6) == start &&
    <u32>load<u16>(vnet, 8) == offset;
}

/** A header that asks for nothing: complete checksums, no segmentation. */
export function clear(vnet: usize): void {
  store<u64>(vnet, 0);
  store<u32>(vnet, 0, 8);
}
