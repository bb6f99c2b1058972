/**
 * The C library through FFI: the few calls that Deno does not offer.
 *
 * The library is opened at the first use, so that importing this module needs no permission. Calls
 * are synchronous unless named otherwise. Buffers are used only during the call. Structures are
 * laid out for 64-bit little-endian Linux (x86-64 and arm64).
 *
 * @module
 */

import { ERRNO, errnoName } from "./errno.ts";

export { ERRNO, errnoName } from "./errno.ts";

/**
 * Prototypes. Counts are u32 and results i32, because 64-bit results come back as slow bigints;
 * variadic functions (open, ioctl, fcntl) are declared with the argument types actually passed, which
 * both supported ABIs pass like fixed ones.
 */
const SYMBOLS = {
  __errno_location: { parameters: [], result: "pointer" },
  strerror: { parameters: ["i32"], result: "pointer" },
  open: { parameters: ["buffer", "i32", "u32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  read: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  readPointer: { name: "read", parameters: ["i32", "pointer", "u32"], result: "i32" },
  write: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  writePointer: { name: "write", parameters: ["i32", "pointer", "u32"], result: "i32" },
  opendir: { parameters: ["buffer"], result: "pointer" },
  readdir: { parameters: ["pointer"], result: "pointer" },
  closedir: { parameters: ["pointer"], result: "i32" },
  readlink: { parameters: ["buffer", "buffer", "u32"], result: "i32" },
  ioctl: { parameters: ["i32", "u32", "buffer"], result: "i32" },
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
  ioctlValue: { name: "ioctl", parameters: ["i32", "u32", "u32"], result: "i32" },
  poll: { parameters: ["buffer", "u32", "i32"], result: "i32" },
  pollAsync: {
    name: "poll",
    parameters: ["buffer", "u32", "i32"],
    result: "i32",
    nonblocking: true,
  },
  eventfd: { parameters: ["u32", "i32"], result: "i32" },
  unshare: { parameters: ["i32"], result: "i32" },
  setns: { parameters: ["i32", "i32"], result: "i32" },
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  listen: { parameters: ["i32", "i32"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  sendto: { parameters: ["i32", "buffer", "u32", "i32", "buffer", "u32"], result: "i32" },
  sendtoAsync: {
    name: "sendto",
    parameters: ["i32", "buffer", "u32", "i32", "buffer", "u32"],
    result: "i32",
    nonblocking: true,
  },
  recvfrom: { parameters: ["i32", "buffer", "u32", "i32", "buffer", "buffer"], result: "i32" },
  if_nametoindex: { parameters: ["buffer"], result: "u32" },
  malloc_trim: { parameters: ["u32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** The typed functions themselves, for hot paths: −1 means failure, see {@link lastErrno}. */
export type Libc = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

let symbols: Libc | null = null;
let errnoView: Deno.UnsafePointerView | null = null;

/** Opens the C library at the first call. Needs `--allow-ffi`. */
export function libc(): Libc {
  symbols ??= Deno.dlopen("libc.so.6", SYMBOLS).symbols;
  return symbols;
}

/** errno of this thread. Valid only directly after the call that failed. */
export function lastErrno(): number {
  // A module instance belongs to one thread (workers have their own), so the place never moves.
  errnoView ??= new Deno.UnsafePointerView(libc().__errno_location()!);
  return errnoView.getInt32();
}

/** A system call that failed. */
export class SystemError extends Error {
  override readonly name = "SystemError";
  /** The symbolic name, such as "EPERM". */
  readonly code: string;

  /** `operation` says what was tried and on what, such as "open /dev/net/tun". */
  constructor(readonly errno: number, readonly operation: string) {
    super(`${operation}: ${describeErrno(errno)} (${errnoName(errno)})`);
    this.code = errnoName(errno);
  }
}

/** The C library's text for an error number, such as "Operation not permitted". */
export function describeErrno(errno: number): string {
  const text = libc().strerror(errno);
  return text === null ? errnoName(errno) : Deno.UnsafePointerView.getCString(text);
}

/** Returns a call's result, or throws {@link SystemError} when it is negative. */
export function check(result: number, operation: string): number {
  if (result < 0) throw new SystemError(lastErrno(), operation);
  return result;
}

/** Text as C reads it: UTF-8 and a final zero byte. Throws TypeError on a zero byte within. */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  if (text.includes("\0")) throw new TypeError(`text with a zero byte: ${JSON.stringify(text)}`);
  return new TextEncoder().encode(text + "\0");
}

/** Gives pages that the C library holds free back to the system (malloc_trim(3)). */
export function trimHeap(): void {
  libc().malloc_trim(0);
}

/** Flags of {@link open}. O_CLOEXEC is always added. */
export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_RDWR = 2;
export const O_NONBLOCK = 0x800;
const O_CLOEXEC = 0x80000;

/** Opens a path; the descriptor is not inherited by child processes. */
export function open(path: string, flags: number): number {
  return check(libc().open(cString(path), flags | O_CLOEXEC, 0), `open ${path}`);
}

/** Closes a descriptor. Closing one that is not open throws EBADF, as that hides a mistake. */
export function close(fd: number): void {
  check(libc().close(fd), `close descriptor ${fd}`);
}

/** read(2): the number of bytes, or −1 with {@link lastErrno}. For loops, take `libc().read`. */
export function read(
  fd: number,
  target: Uint8Array<ArrayBuffer> | Deno.PointerObject,
  length: number,
): number {
  return ArrayBuffer.isView(target)
    ? libc().read(fd, target, length)
    : libc().readPointer(fd, target, length);
}

/** write(2): the number of bytes, or −1 with {@link lastErrno}. For loops, take `libc().write`. */
export function write(
  fd: number,
  source: Uint8Array<ArrayBuffer> | Deno.PointerObject,
  length: number,
): number {
  return ArrayBuffer.isView(source)
    ? libc().write(fd, source, length)
    : libc().writePointer(fd, source, length);
}

/** opendir(3): a stream of a directory's entries. Takes {@link closeDirectory}. */
export function openDirectory(path: string): Deno.PointerObject {
  const directory = libc().opendir(cString(path));
  if (directory === null) throw new SystemError(lastErrno(), `open directory ${path}`);
  return directory;
}

/** Goes to the next entry, "." and ".." among them; false behind the last. */
export function nextEntry(directory: Deno.PointerObject): boolean {
  return libc().readdir(directory) !== null;
}

export function closeDirectory(directory: Deno.PointerObject): void {
  libc().closedir(directory);
}

/** Events of {@link poll}. */
export const POLLIN = 1;
export const POLLOUT = 4;
export const POLLERR = 8;
export const POLLHUP = 0x10;

/** A poll set of these descriptors: two words for each, see {@link poll}. */
export function pollSet(fds: readonly number[], events = POLLIN): Int32Array<ArrayBuffer> {
  return Int32Array.from(fds.flatMap((fd) => [fd, events]));
}

/** What happened on the descriptor at this place of a poll set (POLLIN and so on; 0: nothing). */
export function polledEvents(set: Int32Array, place: number): number {
  return set[2 * place + 1] >>> 16;
}

/**
 * Waits for events, blocking this thread. `set` holds `struct pollfd`s: two words each, the
 * descriptor, then the events asked for in the low and those that happened in the high 16 bits.
 * Returns how many are ready; 0 after `timeoutMs` (−1: no limit) or when a signal came.
 */
export function poll(set: Int32Array<ArrayBuffer>, timeoutMs: number): number {
  const ready = libc().poll(set, set.length >>> 1, timeoutMs);
  if (ready >= 0) return ready;
  const errno = lastErrno();
  if (errno === ERRNO.EINTR) return 0;
  throw new SystemError(errno, "poll");
}

/**
 * {@link poll} on a helper thread, for descriptors that the event loop must not block for. Returns
 * 0 also when a signal came; the cause of a failure is not known. Keeps the process alive.
 */
export async function pollAsync(set: Int32Array<ArrayBuffer>, timeoutMs: number): Promise<number> {
  return Math.max(0, await libc().pollAsync(set, set.length >>> 1, timeoutMs));
}

const EFD_CLOEXEC_NONBLOCK = 0x80800;

/** A nonblocking event descriptor: readable once {@link signalEvent} was called. */
export function eventfd(): number {
  return check(libc().eventfd(0, EFD_CLOEXEC_NONBLOCK), "eventfd");
}

/** Makes an event descriptor readable. */
export function signalEvent(fd: number): void {
  check(libc().write(fd, BigUint64Array.of(1n), 8), "write to an event descriptor");
}

/** Takes the signals back; how many there were. */
export function drainEvent(fd: number): number {
  const count = new BigUint64Array(1);
  return libc().read(fd, count, 8) === 8 ? Number(count[0]) : 0;
}

/** Index of a network interface in this thread's namespace, or null when there is none. */
export function interfaceIndex(name: string): number | null {
  const index = libc().if_nametoindex(cString(name));
  return index === 0 ? null : index;
}
