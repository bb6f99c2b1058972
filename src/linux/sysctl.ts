/**
 * Kernel parameters under /proc/sys. Those below `net` are the calling thread's namespace's.
 *
 * Names are written as for sysctl(8): the first separator decides. "net.ipv4.ip_forward" and
 * "net/ipv4/ip_forward" are the same; an interface name with a dot is written with slashes,
 * "net/ipv4/conf/eth0.5/rp_filter", or, between dots, with a slash for its dot,
 * "net.ipv4.conf.eth0/5.rp_filter".
 *
 * @module
 */

import { readSpecialFile, writeSpecialFile } from "./special_file.ts";

/** The value without its final newline, or null when this kernel has no such parameter. */
export function readSysctl(name: string): string | null {
  return readSpecialFile(sysctlPath(name))?.trimEnd() ?? null;
}

/** Sets a value. Throws SystemError: ENOENT unknown, EACCES or EROFS not allowed, EINVAL. */
export function writeSysctl(name: string, value: string | number): void {
  writeSpecialFile(sysctlPath(name), `${value}\n`);
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
