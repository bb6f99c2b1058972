/**
 * Network namespaces of one process.
 *
 * A namespace belongs to a *thread*. A socket, TUN device or child process made while the thread
 * is in a namespace stays there after the thread has switched back, so one process can serve many.
 * Sources: namespaces(7), setns(2), unshare(2).
 *
 * @module
 */

import {
  check,
  close,
  cString,
  ERRNO,
  lastErrno,
  libc,
  O_RDONLY,
  open,
  SystemError,
} from "./libc.ts";

const CLONE_NEWNET = 0x40000000;
/** The calling thread's, where /proc/self would mean the first thread of the process. */
const OWN = "/proc/thread-self/ns/net";

/** A network namespace, held open by a descriptor: it lives at least until {@link close}. */
export class NetworkNamespace {
  private constructor(
    /** The open descriptor; not inherited by child processes. */
    readonly fd: number,
  ) {}

  /**
   * A new, empty namespace. Its loopback interface is down. This thread stays where it is.
   * Needs CAP_SYS_ADMIN.
   */
  static create(): NetworkNamespace {
    const home = NetworkNamespace.current();
    try {
      check(libc().unshare(CLONE_NEWNET), "unshare the network namespace");
      try {
        return NetworkNamespace.current();
      } finally {
        home.enter();
      }
    } finally {
      home.close();
    }
  }

  /** The namespace that this thread is in. */
  static current(): NetworkNamespace {
    return NetworkNamespace.open(OWN);
  }

  /** Takes over an open descriptor of a namespace; {@link close} closes it. */
  static fromFd(fd: number): NetworkNamespace {
    return new NetworkNamespace(fd);
  }

  /** A namespace by path: /run/netns/NAME, /proc/PID/ns/net, or another one's {@link path}. */
  static open(path: string): NetworkNamespace {
    return new NetworkNamespace(open(path, O_RDONLY));
  }

  /** A path by which other processes can open it, as long as this one lives and keeps it open. */
  get path(): string {
    return `/proc/${Deno.pid}/fd/${this.fd}`;
  }

  /**
   * Moves this thread into the namespace for good. For workers; elsewhere use {@link run}. Needs
   * CAP_SYS_ADMIN, unless the thread is there already.
   */
  enter(): void {
    if (libc().setns(this.fd, CLONE_NEWNET) === 0) return;
    const errno = lastErrno();
    if (errno === ERRNO.EPERM && this.#isOwn()) return;
    throw new SystemError(errno, `enter the network namespace of descriptor ${this.fd}`);
  }

  #isOwn(): boolean {
    return linkTarget(`/proc/thread-self/fd/${this.fd}`) === linkTarget(OWN);
  }

  /**
   * Runs a synchronous function with this thread in the namespace and switches back, also when it
   * throws. A function that is asynchronous is refused with TypeError: everything after its first
   * `await` would run after the switch back.
   */
  run<T>(fn: () => T): T {
    if (fn.constructor.name === "AsyncFunction") throw asynchronous();
    const home = NetworkNamespace.current();
    try {
      this.enter();
      let result: T;
      try {
        result = fn();
      } finally {
        home.enter();
      }
      if (isThenable(result)) {
        // The refusal is the error that is reported; the promise's own must not end the process.
        result.then(undefined, () => {});
        throw asynchronous();
      }
      return result;
    } finally {
      home.close();
    }
  }

  /** Lets go of it. The kernel removes it once no thread, descriptor or mount holds it. */
  close(): void {
    close(this.fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** "net:[4026531840]", which is the namespace's name. */
function linkTarget(path: string): string {
  const target = new Uint8Array(256);
  const length = check(libc().readlink(cString(path), target, target.length), `read ${path}`);
  return new TextDecoder().decode(target.subarray(0, length));
}

function asynchronous(): TypeError {
  return new TypeError(
    "a function run in a network namespace must be synchronous: " +
      "the thread switches back when it returns",
  );
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null &&
    typeof (value as { then?: unknown }).then === "function";
}
