/**
 * How many packets rules of legacy iptables have refused, asked of the kernel itself, since starting
 * a program takes long in the virtual machine. Sources: linux/netfilter_ipv4/ip_tables.h,
 * linux/netfilter_ipv6/ip6_tables.h, linux/netfilter/x_tables.h.
 *
 * @module
 */

import { check, close, libc } from "../../src/linux/libc.ts";
import type { Family } from "../../src/net/address.ts";

/** Packets by what was done to them. */
export type Refusals = Readonly<Record<"REJECT" | "DROP", bigint>>;

/** Where things are in one family: arguments of system calls, and offsets in a rule. */
interface Layout {
  readonly domain: number;
  readonly level: number;
  /** __u16 target_offset; next_offset follows. */
  readonly targetOffset: number;
  /** __u64 of the packets. */
  readonly packets: number;
}

const LAYOUTS: Readonly<Record<Family, Layout>> = {
  IPv4: { domain: 2, level: 0, targetOffset: 88, packets: 96 },
  IPv6: { domain: 10, level: 41, targetOffset: 140, packets: 152 },
};

const SOCK_RAW = 3;
const IPPROTO_RAW = 255;
const GET_INFO = 64;
const GET_ENTRIES = 65;
/** char name[32]. */
const NAME = 32;
/** struct ipt_getinfo: the name, three fields and two lists of five hooks, and the size. */
const INFO_BYTES = NAME + 4 + 20 + 20 + 4 + 4;
/** struct ipt_get_entries: name and size, and alignment to 8. */
const ENTRIES_HEAD = 40;
/** −NF_DROP − 1 of a standard target. */
const VERDICT_DROP = -1;

/**
 * Packets that rules of the filter table, in this thread's network namespace, have refused so far.
 * Policies don't count.
 */
export function countRefusals(family: Family): Refusals {
  const layout = LAYOUTS[family];
  const fd = check(libc().socket(layout.domain, SOCK_RAW, IPPROTO_RAW), "open a raw socket");
  try {
    const info = new DataView(ask(fd, layout, GET_INFO, new Uint8Array(INFO_BYTES)).buffer);
    const size = info.getUint32(INFO_BYTES - 4, true);
    const request = new Uint8Array(ENTRIES_HEAD + size);
    new DataView(request.buffer).setUint32(NAME, size, true);
    return sum(ask(fd, layout, GET_ENTRIES, request).subarray(ENTRIES_HEAD), layout);
  } finally {
    close(fd);
  }
}

function ask(
  fd: number,
  { level }: Layout,
  option: number,
  buffer: Uint8Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer> {
  buffer.set(new TextEncoder().encode("filter"));
  const length = new Uint32Array([buffer.length]);
  check(libc().getsockopt(fd, level, option, buffer, length), "read the filter table");
  return buffer;
}

function sum(rules: Uint8Array<ArrayBuffer>, { targetOffset, packets }: Layout): Refusals {
  const counts = { REJECT: 0n, DROP: 0n };
  const view = new DataView(rules.buffer, rules.byteOffset, rules.length);
  for (let at = 0; at < rules.length; at += view.getUint16(at + targetOffset + 2, true)) {
    const target = at + view.getUint16(at + targetOffset, true);
    const name = new TextDecoder().decode(rules.subarray(target + 2, target + 2 + 29))
      .replace(/\0.*$/s, "");
    const standard = name === "" ? view.getInt32(target + NAME, true) : null;
    const verdict = name === "REJECT" ? "REJECT" : standard === VERDICT_DROP ? "DROP" : null;
    if (verdict !== null) counts[verdict] += view.getBigUint64(at + packets, true);
  }
  return counts;
}
