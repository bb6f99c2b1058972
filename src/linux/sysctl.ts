/**
 * Kernel parameters under /proc/sys. Those below `net` are the calling thread's namespace's.
 *
 * Names are written as for sysctl(8): the first separator decides. "net.ipv4.ip_forward" and
 * "net/ipv4/ip_forward" are the same; an interface name with a dot is written with slashes,
 * "net/ipv4/conf/eth0.5/rp_filter", or, between dots, with a slash for its dot,
 * "net.ipv4.conf.eth0/5.rp_filter".
 *
 * Files are opened through the C library, because Deno asks for all permissions below /proc.
 *
 * @module
 */

import { check, close, ERRNO, O_RDONLY, O_WRONLY, open, read, SystemError, write } from "./libc.ts";

const PAGE = 4096;

/** The value without its final newline, or null when this kernel has no such parameter. */
export function readSysctl(name: string): string | null {
  const path = sysctlPath(name);
  let fd: number;
  try {
    fd = open(path, O_RDONLY);
  } catch (error) {
    if (error instanceof SystemError && error.errno === ERRNO.ENOENT) return null;
    throw error;
  }
  try {
    const buffer = new Uint8Array(PAGE);
    const length = check(read(fd, buffer, buffer.length), `read ${path}`);
    return new TextDecoder().decode(buffer.subarray(0, length)).trimEnd();
  } finally {
    close(fd);
  }
}

/** Sets a value. Throws {@link SystemError}: ENOENT unknown, EACCES or EROFS not allowed, EINVAL. */
export function writeSysctl(name: string, value: string | number): void {
  const path = sysctlPath(name);
  const fd = open(path, O_WRONLY);
  try {
    const bytes = new TextEncoder().encode(`${value}\n`);
    check(write(fd, bytes, bytes.length), `write ${JSON.stringify(String(value))} to ${path}`);
  } finally {
    close(fd);
  }
}

/** The file of a parameter; throws TypeError on a name that is none. */
export function sysctlPath(name: string): string {
  const separator = /[./]/.exec(name)?.[0];
  const path = separator === "." ? name.replace(/[./]/g, (char) => char === "." ? "/" : ".") : name;
  const parts = path.split("/");
  if (parts.some((part) => part === "" || part === "." || part === ".." || part.includes("\0"))) {
    throw new TypeError(`not the name of a kernel parameter: ${JSON.stringify(name)}`);
  }
  return `/proc/sys/${path}`;
}
