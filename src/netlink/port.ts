/**
 * The descriptor of a netlink socket: opening it, and datagrams to and from the kernel. Sources:
 * netlink(7), linux/netlink.h.
 *
 * @module
 */

import { check, close, ERRNO, lastErrno, libc, poll, pollSet, SystemError } from "../linux/libc.ts";
import { NetlinkError } from "./error.ts";
import { type Message, parseMessages } from "./message.ts";

const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 3 | 0x80000;
const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const SO_RCVBUF = 8;
const SO_SNDBUFFORCE = 32;
const SO_RCVBUFFORCE = 33;
const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const NETLINK_GET_STRICT_CHK = 12;
const MSG_TRUNC = 0x20;
const MSG_DONTWAIT = 0x40;

/** The kernel's dumps come in pieces of at most 32 KB; a repeated request may have 64 KB. */
const DATAGRAM_LIMIT = 128 * 1024;
/** What a send buffer takes, whatever the node's settings. */
const SEND_LIMIT = 64 * 1024;
/** An answer is there at once; the limit only keeps a broken kernel module from hanging us. */
const ANSWER_TIMEOUT_MS = 5000;

/** How to open a socket. */
export interface SocketOptions {
  /** Bytes of the receive buffer (default 1 MiB; less where the process may not have so much). */
  readonly receiveBuffer?: number;
  /** Have refused requests repeated whole in the answer, as ipset needs (default: only headers). */
  readonly repeatRequests?: boolean;
}

/** What the kernel answered to a datagram. */
export interface Answers {
  readonly messages: readonly Message[];
  /** Whether there were more than the socket could hold. */
  readonly lost: boolean;
}

/** A bound socket of one netlink family. */
export class NetlinkPort {
  readonly #buffer = new Uint8Array(DATAGRAM_LIMIT);
  readonly #sender = new Uint8Array(12);
  readonly #senderLength = new Uint32Array(1);
  #sendLimit = SEND_LIMIT;

  private constructor(
    readonly fd: number,
    /** The number by which the kernel knows it. */
    readonly number: number,
  ) {}

  /** Opens and binds a socket. Throws {@link SystemError}. */
  static open(protocol: number, options: SocketOptions): NetlinkPort {
    const { receiveBuffer = 1 << 20, repeatRequests = false } = options;
    const fd = check(
      libc().socket(AF_NETLINK, SOCK_RAW_CLOEXEC, protocol),
      `open a netlink socket of family ${protocol}`,
    );
    try {
      check(libc().bind(fd, socketAddress(), 12), "bind a netlink socket");
      const bound = socketAddress();
      check(libc().getsockname(fd, bound, Uint32Array.of(bound.length)), "name a netlink socket");
      if (!setOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, receiveBuffer)) {
        setOption(fd, SOL_SOCKET, SO_RCVBUF, receiveBuffer);
      }
      // Kernels that lack one of these answer less precisely; nothing else depends on them.
      setOption(fd, SOL_NETLINK, NETLINK_EXT_ACK, 1);
      setOption(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1);
      if (!repeatRequests) setOption(fd, SOL_NETLINK, NETLINK_CAP_ACK, 1);
      return new NetlinkPort(fd, new DataView(bound.buffer).getUint32(4, true));
    } catch (error) {
      close(fd);
      throw error;
    }
  }

  /** Joins a multicast group. */
  join(group: number): void {
    check(
      libc().setsockopt(this.fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, Int32Array.of(group), 4),
      `join netlink group ${group}`,
    );
  }

  /** Has the socket take datagrams of this length, as far as the process may. */
  makeRoom(length: number): void {
    if (length <= this.#sendLimit) return;
    if (!setOption(this.fd, SOL_SOCKET, SO_SNDBUFFORCE, length)) {
      setOption(this.fd, SOL_SOCKET, SO_SNDBUF, length);
    }
    this.#sendLimit = length;
  }

  /** Sends a datagram, which the kernel has carried out then. */
  send(bytes: Uint8Array<ArrayBuffer>): void {
    const kernel = socketAddress();
    check(
      libc().sendto(this.fd, bytes, bytes.length, 0, kernel, kernel.length),
      "send a netlink request",
    );
  }

  /** The same while this thread goes on with something else. */
  async sendLater(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const { length } = bytes;
    const kernel = socketAddress();
    const sent = await libc().sendtoAsync(this.fd, bytes, length, 0, kernel, kernel.length);
    // Only this thread learns why: what could not be sent cannot be sent again either.
    if (sent < 0) this.send(bytes);
  }

  /** The next datagram from the kernel. It is there already, or very soon. */
  receive(): Uint8Array {
    const deadline = performance.now() + ANSWER_TIMEOUT_MS;
    for (;;) {
      const datagram = this.receiveNow();
      if (datagram !== null) return datagram;
      const left = Math.ceil(deadline - performance.now());
      if (left <= 0) {
        throw new NetlinkError(ERRNO.ETIMEDOUT, "await the answer to a netlink request");
      }
      poll(pollSet([this.fd]), left);
    }
  }

  /** A copy of the next datagram that the kernel sent, or null when none is there. */
  receiveNow(): Uint8Array | null {
    for (;;) {
      this.#senderLength[0] = this.#sender.length;
      const length = libc().recvfrom(
        this.fd,
        this.#buffer,
        this.#buffer.length,
        MSG_DONTWAIT | MSG_TRUNC,
        this.#sender,
        this.#senderLength,
      );
      if (length < 0) {
        const errno = lastErrno();
        if (errno === ERRNO.EAGAIN) return null;
        if (errno === ERRNO.EINTR) continue;
        throw new SystemError(errno, "receive from netlink");
      }
      // Other processes can send to this port too; only port 0 is the kernel.
      if (new DataView(this.#sender.buffer).getUint32(4, true) !== 0) continue;
      if (length > this.#buffer.length) {
        throw new NetlinkError(ERRNO.EMSGSIZE, `receive a netlink message of ${length} bytes`);
      }
      return this.#buffer.slice(0, length);
    }
  }

  /** All messages that are there. */
  drain(): Answers {
    const messages: Message[] = [];
    for (let lost = false;;) {
      try {
        const datagram = this.receiveNow();
        if (datagram === null) return { messages, lost };
        messages.push(...parseMessages(datagram));
      } catch (error) {
        if (!(error instanceof SystemError && error.errno === ERRNO.ENOBUFS)) throw error;
        lost = true;
      }
    }
  }

  close(): void {
    close(this.fd);
  }
}

/** `struct sockaddr_nl` of the kernel, or for binding: of a port that it chooses. */
function socketAddress(): Uint8Array<ArrayBuffer> {
  const address = new Uint8Array(12);
  address[0] = AF_NETLINK;
  return address;
}

function setOption(fd: number, level: number, option: number, value: number): boolean {
  return libc().setsockopt(fd, level, option, Int32Array.of(value), 4) === 0;
}
