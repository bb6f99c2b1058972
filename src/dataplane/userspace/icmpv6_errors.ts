/**
 * ICMPv6 errors that come to this node, for the engine: what routers say of masqueraded packets. They
 * cannot be routed to the device, as a policy rule cannot tell them from neighbour discovery; a raw
 * socket gets copies (RFC 3542). The kernel handles them too, and knows nothing of what they quote.
 *
 * @module
 */

import { check, close, ERRNO, lastErrno, libc, SystemError } from "../../linux/libc.ts";
import { TUN_HEADER_SIZE } from "../../linux/tun.ts";

const AF_INET6 = 10;
/** SOCK_RAW, SOCK_NONBLOCK and SOCK_CLOEXEC. */
const RAW = 3 | 0x800 | 0x80000;
const IPPROTO_ICMPV6 = 58;
const ICMPV6_FILTER = 1;
/** Unreachable, packet too big, time exceeded, parameter problem: a set bit keeps a type out. */
const ONLY_ERRORS = Uint32Array.of(~0b11110, ...Array<number>(7).fill(~0));

/** struct sockaddr_in6, and where its address is. */
const ADDRESS_SIZE = 28;
const ADDRESS_AT = 8;

const IPV6_SIZE = 40;
const ICMPV6_SIZE = 8;
const AT = TUN_HEADER_SIZE + IPV6_SIZE;
/** Where the source of the quoted packet is: it is whom the error was sent to. */
const QUOTED_SOURCE = AT + ICMPV6_SIZE + 8;

/** A raw socket on all of this node's addresses. */
export class Icmpv6Errors {
  readonly #from = new Uint8Array(ADDRESS_SIZE);
  readonly #fromSize = new Uint32Array(1);

  private constructor(readonly fd: number) {}

  /**
   * For the namespace that this thread is in. Throws {@link SystemError}: EPERM without CAP_NET_RAW.
   */
  static open(): Icmpv6Errors {
    const fd = check(libc().socket(AF_INET6, RAW, IPPROTO_ICMPV6), "open an ICMPv6 socket");
    const filter = new Uint8Array(ONLY_ERRORS.buffer);
    const set = libc().setsockopt(fd, IPPROTO_ICMPV6, ICMPV6_FILTER, filter, filter.length);
    if (set < 0) {
      const error = new SystemError(lastErrno(), "filter an ICMPv6 socket");
      close(fd);
      throw error;
    }
    return new Icmpv6Errors(fd);
  }

  /**
   * Reads the next error into a slot as the packet in which it came, behind an empty header. Returns
   * the bytes in the slot; 0 when there is none. The kernel has seen to the checksum, and whoever
   * checks it again finds out an error that quotes another packet than its receiver's.
   */
  receive(slot: Uint8Array<ArrayBuffer>): number {
    const message = slot.subarray(AT);
    while (true) {
      this.#fromSize[0] = ADDRESS_SIZE;
      const length = libc().recvfrom(
        this.fd,
        message,
        message.length,
        0,
        this.#from,
        this.#fromSize,
      );
      if (length < 0) {
        const errno = lastErrno();
        if (errno === ERRNO.EAGAIN || errno === ERRNO.EINTR) return 0;
        throw new SystemError(errno, "receive ICMPv6 errors");
      }
      if (length < ICMPV6_SIZE + IPV6_SIZE) continue;
      slot.fill(0, 0, AT);
      slot[TUN_HEADER_SIZE] = 0x60;
      slot[TUN_HEADER_SIZE + 4] = length >> 8;
      slot[TUN_HEADER_SIZE + 5] = length & 0xff;
      slot[TUN_HEADER_SIZE + 6] = IPPROTO_ICMPV6;
      slot[TUN_HEADER_SIZE + 7] = 64;
      slot.set(this.#from.subarray(ADDRESS_AT, ADDRESS_AT + 16), TUN_HEADER_SIZE + 8);
      slot.copyWithin(TUN_HEADER_SIZE + 24, QUOTED_SOURCE, QUOTED_SOURCE + 16);
      return AT + length;
    }
  }

  close(): void {
    close(this.fd);
  }
}
