/**
 * One UDP question and its answer, over a socket that also hears ICMP errors: Deno's own UDP sockets
 * cannot tell a refused datagram from a lost one.
 *
 * @module
 */

import {
  check,
  close,
  ERRNO,
  lastErrno,
  libc,
  pollAsync,
  pollSet,
  SystemError,
} from "../linux/libc.ts";
import { addressBytes, familyOf, formatAddress, formatSocketAddress } from "../net/address.ts";

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_DGRAM_NONBLOCK_CLOEXEC = 2 | 0x800 | 0x80000;
/** (level, option) that make ICMP errors errors of the socket: ip(7) IP_RECVERR, ipv6(7) IPV6_RECVERR. */
const RECVERR = { IPv4: [0, 11], IPv6: [41, 25] } as const;

/** struct sockaddr_in or sockaddr_in6. */
function socketAddress(address: string, port: number): Uint8Array<ArrayBuffer> {
  const v6 = familyOf(address) === "IPv6";
  const bytes = new Uint8Array(v6 ? 28 : 16);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, v6 ? AF_INET6 : AF_INET, true);
  view.setUint16(2, port);
  bytes.set(addressBytes(address), v6 ? 8 : 4);
  return bytes;
}

function formatSocket(bytes: Uint8Array<ArrayBuffer>, v6: boolean): string {
  const address = formatAddress(v6 ? bytes.subarray(8, 24) : bytes.subarray(4, 8));
  return formatSocketAddress(address, new DataView(bytes.buffer).getUint16(2));
}

/**
 * Sends one datagram from the network namespace that this thread is in and waits for one back.
 * Throws Deno.errors.ConnectionRefused on ICMP port unreachable, Deno.errors.TimedOut on silence,
 * and Error when another address than the target's answers.
 */
export async function exchangeDatagram(
  target: { readonly address: string; readonly port: number },
  message: Uint8Array<ArrayBuffer>,
  timeoutMs: number,
): Promise<Uint8Array> {
  const family = familyOf(target.address);
  const v6 = family === "IPv6";
  const where = `UDP ${formatSocketAddress(target.address, target.port)}`;
  const fd = check(
    libc().socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM_NONBLOCK_CLOEXEC, 0),
    "open a UDP socket",
  );
  try {
    const [level, option] = RECVERR[family];
    check(libc().setsockopt(fd, level, option, Int32Array.of(1), 4), "set RECVERR");
    const to = socketAddress(target.address, target.port);
    check(libc().sendto(fd, message, message.length, 0, to, to.length), `send to ${where}`);
    const from = new Uint8Array(28);
    const buffer = new Uint8Array(65536);
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const length = libc().recvfrom(fd, buffer, buffer.length, 0, from, Int32Array.of(28));
      if (length >= 0) {
        const answerer = formatSocket(from, v6);
        if (answerer !== formatSocket(to, v6)) {
          throw new Error(`asked ${where}, answered by ${answerer}`);
        }
        return buffer.slice(0, length);
      }
      const errno = lastErrno();
      if (errno === ERRNO.ECONNREFUSED) throw new Deno.errors.ConnectionRefused(where);
      if (errno !== ERRNO.EAGAIN) throw new SystemError(errno, `receive from ${where}`);
      const left = Math.ceil(deadline - performance.now());
      if (left <= 0) throw new Deno.errors.TimedOut(where);
      await pollAsync(pollSet([fd]), left);
    }
  } finally {
    close(fd);
  }
}
