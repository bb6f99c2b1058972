/**
 * A lock for everything that runs in one network namespace, in whichever container: a listening Unix
 * socket with an abstract name. Such names belong to the network namespace, need no file, and are
 * free again when the process ends, whatever way. Source: unix(7).
 *
 * @module
 */

import { check, close, ERRNO, lastErrno, libc, SystemError } from "./libc.ts";

const AF_UNIX = 1;
const SOCK_STREAM_CLOEXEC = 0x80001;
const SOCK_NONBLOCK = 0x800;
/** Every question waits here for ever, as nobody accepts it; the kernel's own limit is as high. */
const BACKLOG = 4096;
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
/** sizeof(struct ucred): pid, uid and gid. */
const UCRED_SIZE = 12;
/** Of sun_path: linux/un.h. */
const MAX_NAME = 107;

/** Who holds a lock. */
export interface LockHolder {
  /** In this process's PID namespace; 0: it is in another one, as in another container. */
  readonly pid: number;
  /** In this process's user namespace; null: it was asked too often to answer. */
  readonly uid: number | null;
}

/** A lock that is held until it is disposed of or the process ends. */
export type NamespaceLock = Disposable;

/**
 * Takes the lock of a name in this thread's network namespace; when another process has it, tells
 * who.
 *
 * @throws {SystemError} when it cannot be said whether it is free.
 */
export function lockNamespace(name: string): NamespaceLock | LockHolder {
  const address = abstractAddress(name);
  const fd = check(libc().socket(AF_UNIX, SOCK_STREAM_CLOEXEC, 0), "make a Unix socket");
  try {
    for (;;) {
      if (libc().bind(fd, address, address.length) === 0) {
        check(libc().listen(fd, BACKLOG), `listen at @${name}`);
        return { [Symbol.dispose]: () => close(fd) };
      }
      const errno = lastErrno();
      if (errno !== ERRNO.EADDRINUSE) throw new SystemError(errno, `bind @${name}`);
      const holder = askHolder(name, address);
      if (holder !== null) {
        close(fd);
        return holder;
      }
    }
  } catch (error) {
    close(fd);
    throw error;
  }
}

/** Null when it was let go of meanwhile. */
function askHolder(name: string, address: Uint8Array<ArrayBuffer>): LockHolder | null {
  const type = SOCK_STREAM_CLOEXEC | SOCK_NONBLOCK;
  const fd = check(libc().socket(AF_UNIX, type, 0), "make a Unix socket");
  try {
    if (libc().connect(fd, address, address.length) < 0) {
      const errno = lastErrno();
      if (errno === ERRNO.ECONNREFUSED) return null;
      if (errno === ERRNO.EAGAIN) return { pid: 0, uid: null };
      throw new SystemError(errno, `connect to @${name}`);
    }
    const credentials = new Int32Array(UCRED_SIZE / 4);
    const length = Uint32Array.of(UCRED_SIZE);
    const bytes = new Uint8Array(credentials.buffer);
    check(
      libc().getsockopt(fd, SOL_SOCKET, SO_PEERCRED, bytes, length),
      `ask who listens at @${name}`,
    );
    return { pid: credentials[0], uid: credentials[1] };
  } finally {
    close(fd);
  }
}

/** struct sockaddr_un of an abstract name: a zero byte before it, none after it. */
function abstractAddress(name: string): Uint8Array<ArrayBuffer> {
  const bytes = new TextEncoder().encode(name);
  if (bytes.length === 0 || bytes.length > MAX_NAME) {
    throw new TypeError(`a name of 1 to ${MAX_NAME} bytes: ${JSON.stringify(name)}`);
  }
  const address = new Uint8Array(3 + bytes.length);
  address[0] = AF_UNIX;
  address.set(bytes, 3);
  return address;
}
