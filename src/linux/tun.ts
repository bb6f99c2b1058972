/**
 * TUN devices with virtio-net headers: whole IP packets read from and written to a descriptor, up
 * to 64 KB each with segmentation offload. Sources: linux/if_tun.h, linux/virtio_net.h.
 *
 * @module
 */

import {
  check,
  close,
  cString,
  ERRNO,
  interfaceIndex,
  lastErrno,
  libc,
  O_NONBLOCK,
  O_RDWR,
  open,
  SystemError,
} from "./libc.ts";

/** Bytes of the virtio-net header before every packet; 12 keeps the IP header 4-byte aligned. */
export const TUN_HEADER_SIZE = 12;

const TUNSETIFF = 0x400454ca;
const TUNSETOFFLOAD = 0x400454d0;
const TUNSETVNETHDRSZ = 0x400454d8;
const TUNSETVNETLE = 0x400454dc;

const IFF_TUN = 1;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;

const IFREQ_SIZE = 40;
const IFNAMSIZ = 16;
const IFREQ_FLAGS = 16;

/** Checksums left to the reader (TUN_F_CSUM). */
export const TUN_F_CSUM = 1;
/** TCP segments of up to 64 KB, IPv4 and IPv6 (TUN_F_TSO4, TUN_F_TSO6). */
const TUN_F_TSO = 2 | 4;
/** UDP segments, IPv4 and IPv6 (TUN_F_USO4, TUN_F_USO6; Linux 6.2). */
const TUN_F_USO = 0x20 | 0x40;

/** What to ask for, best first; a kernel refuses a set with a bit that it does not know. */
const OFFLOADS = [TUN_F_CSUM | TUN_F_TSO | TUN_F_USO, TUN_F_CSUM | TUN_F_TSO, TUN_F_CSUM, 0];

/** An open TUN device. It disappears when the descriptor is closed. */
export interface TunDevice {
  /** Nonblocking; every read and write is one {@link TUN_HEADER_SIZE}-byte header and a packet. */
  readonly fd: number;
  readonly name: string;
  readonly index: number;
  /** The TUN_F_ bits that the kernel agreed to. */
  readonly offloads: number;
}

/** How to open a TUN device. */
export interface TunOptions {
  /** At most 15 bytes; `%d` in it is replaced by the first free number. */
  readonly name: string;
  /** Take checksum and segmentation offload as far as the kernel has it (default: true). */
  readonly offload?: boolean;
}

/**
 * Makes a TUN device in this thread's network namespace, or opens the persistent one of that name.
 * It is down. Throws {@link SystemError}: ENOENT without /dev/net/tun, EPERM without
 * CAP_NET_ADMIN, EBUSY when another process has it open.
 */
export function openTun(options: TunOptions): TunDevice {
  const asked = cString(options.name);
  if (asked.length < 2 || asked.length > IFNAMSIZ) {
    throw new TypeError(
      `the name of a TUN device has 1 to ${IFNAMSIZ - 1} bytes, not ${
        JSON.stringify(options.name)
      }`,
    );
  }
  const fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
  try {
    const request = new Uint8Array(IFREQ_SIZE);
    request.set(asked);
    new DataView(request.buffer)
      .setUint16(IFREQ_FLAGS, IFF_TUN | IFF_NO_PI | IFF_VNET_HDR, true);
    check(libc().ioctl(fd, TUNSETIFF, request), `create TUN device ${options.name}`);
    const name = new TextDecoder().decode(request.subarray(0, request.indexOf(0)));
    check(
      libc().ioctl(fd, TUNSETVNETHDRSZ, Int32Array.of(TUN_HEADER_SIZE)),
      `set the header size of ${name}`,
    );
    check(libc().ioctl(fd, TUNSETVNETLE, Int32Array.of(1)), `set the byte order of ${name}`);
    const offloads = setOffloads(fd, name, options.offload === false ? [0] : OFFLOADS);
    const index = interfaceIndex(name);
    if (index === null) throw new SystemError(ERRNO.ENODEV, `find TUN device ${name}`);
    return { fd, name, index, offloads };
  } catch (error) {
    close(fd);
    throw error;
  }
}

function setOffloads(fd: number, name: string, sets: readonly number[]): number {
  let errno = 0;
  for (const set of sets) {
    if (libc().ioctlValue(fd, TUNSETOFFLOAD, set) >= 0) return set;
    errno = lastErrno();
    if (errno !== ERRNO.EINVAL) break;
  }
  throw new SystemError(errno, `set the offloads of ${name}`);
}
