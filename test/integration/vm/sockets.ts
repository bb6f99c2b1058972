/**
 * Sockets whose every property a test chooses: source address and port, and mark. Calls are
 * synchronous and belong to the namespace that the thread is in when a socket is made.
 *
 * @module
 */

import { addressBytes } from "../../../src/net/address.ts";
import { AF_INET, AF_INET6 } from "../../../src/netlink/family.ts";
import {
  check,
  close,
  ERRNO,
  lastErrno,
  libc,
  poll,
  polledEvents,
  POLLERR,
  POLLHUP,
  POLLOUT,
  pollSet,
  SystemError,
} from "../../../src/linux/libc.ts";

const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0x80000;
const IPPROTO_SCTP = 132;
const SOL_SOCKET = 1;
const SO_MARK = 36;
const SOL_IPV6 = 41;
const IPV6_FREEBIND = 78;
const MSG_DONTWAIT = 0x40;
const BACKLOG = 1024;
/** Well below the second of the first retransmission. */
const ANSWER_MS = 800;

const { symbols } = Deno.dlopen("libc.so.6", {
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  listen: { parameters: ["i32", "i32"], result: "i32" },
  accept4: { parameters: ["i32", "pointer", "pointer", "i32"], result: "i32" },
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
});
const F_SETFL = 4;
const O_NONBLOCK = 0x800;

/** An end of a connection. */
export interface End {
  readonly address: string;
  readonly port: number;
}

/** `struct sockaddr_in` or `sockaddr_in6`. */
function socketAddress({ address, port }: End): Uint8Array<ArrayBuffer> {
  const bytes = addressBytes(address);
  const result = new Uint8Array(bytes.length === 4 ? 16 : 28);
  const view = new DataView(result.buffer);
  view.setUint16(0, bytes.length === 4 ? AF_INET : AF_INET6, true);
  view.setUint16(2, port, false);
  result.set(bytes, bytes.length === 4 ? 4 : 8);
  return result;
}

function open(type: number, local: End, mark: number, protocol = 0): number {
  const family = local.address.includes(":") ? AF_INET6 : AF_INET;
  const fd = check(libc().socket(family, type | SOCK_CLOEXEC, protocol), "socket");
  try {
    const option = (level: number, name: number, value: number) =>
      check(
        libc().setsockopt(fd, level, name, Int32Array.of(value), 4),
        `set socket option ${name}`,
      );
    // A route makes IPv6 addresses local, but only freely bound sockets may have them.
    if (family === AF_INET6) option(SOL_IPV6, IPV6_FREEBIND, 1);
    if (mark !== 0) option(SOL_SOCKET, SO_MARK, mark);
    const address = socketAddress(local);
    check(libc().bind(fd, address, address.length), `bind ${local.address} port ${local.port}`);
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

/** A UDP socket. */
export function udpSocket(local: End, mark = 0): number {
  return open(SOCK_DGRAM, local, mark);
}

/** Sends one datagram; false when something in the kernel drops it. */
export function send(fd: number, target: End, payload: Uint8Array<ArrayBuffer>): boolean {
  const address = socketAddress(target);
  const sent = libc().sendto(fd, payload, payload.length, 0, address, address.length);
  if (sent < 0) tolerate([ERRNO.EPERM], `send to ${target.address}`);
  return sent >= 0;
}

/** What has arrived, one datagram after another. */
export function* received(fd: number): Generator<Uint8Array> {
  for (;;) {
    const buffer = new Uint8Array(64);
    const length = libc().recvfrom(
      fd,
      buffer,
      buffer.length,
      MSG_DONTWAIT,
      new Uint8Array(28),
      Uint32Array.of(28),
    );
    if (length < 0) {
      tolerate([ERRNO.EAGAIN], "receive");
      return;
    }
    yield buffer.subarray(0, length);
  }
}

/** A listening TCP socket. */
export function tcpListener(local: End): number {
  return listener(local, 0);
}

/** A listening SCTP socket of one association to each that is accepted. */
export function sctpListener(local: End): number {
  return listener(local, IPPROTO_SCTP);
}

function listener(local: End, protocol: number): number {
  const fd = open(SOCK_STREAM, local, 0, protocol);
  check(symbols.listen(fd, BACKLOG), "listen");
  check(symbols.fcntl(fd, F_SETFL, O_NONBLOCK), "make a listener nonblocking");
  return fd;
}

/**
 * A TCP connection, or null when the first SYN was not answered at once: a refusal by ICMP comes
 * while the socket is busy sending, so that it is not heeded, and the second SYN is a second later.
 */
export function tcpConnect(local: End, target: End, mark = 0): number | null {
  return connect(target, open(SOCK_STREAM, local, mark));
}

/** An SCTP association, or null when its beginning was not answered at once. */
export function sctpConnect(local: End, target: End): number | null {
  return connect(target, open(SOCK_STREAM, local, 0, IPPROTO_SCTP));
}

function connect(target: End, fd: number): number | null {
  try {
    check(symbols.fcntl(fd, F_SETFL, O_NONBLOCK), "make a socket nonblocking");
    const address = socketAddress(target);
    const what = `connect to ${target.address} port ${target.port}`;
    if (symbols.connect(fd, address, address.length) < 0) tolerate([ERRNO.EINPROGRESS], what);
    const set = pollSet([fd], POLLOUT);
    poll(set, ANSWER_MS);
    if ((polledEvents(set, 0) & (POLLOUT | POLLERR | POLLHUP)) === POLLOUT) return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
  close(fd);
  return null;
}

/** The connection that has arrived, or null. */
export function accept(listener: number): number | null {
  const fd = symbols.accept4(listener, null, null, SOCK_CLOEXEC);
  if (fd >= 0) return fd;
  tolerate([ERRNO.EAGAIN], "accept");
  return null;
}

function tolerate(errnos: readonly number[], operation: string): void {
  const errno = lastErrno();
  if (!errnos.includes(errno)) throw new SystemError(errno, operation);
}
