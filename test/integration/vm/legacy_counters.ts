/**
 * How often rules of legacy iptables have matched, asked of the kernel itself, since starting a
 * program takes long in the virtual machine. Sources: linux/netfilter_ipv4/ip_tables.h,
 * linux/netfilter_ipv6/ip6_tables.h, linux/netfilter/x_tables.h.
 *
 * @module
 */

import { check, close, libc } from "../../../src/linux/libc.ts";
import type { Family } from "../../../src/net/address.ts";

/** A rule that was counted. */
export interface CountedRule {
  readonly chain: string;
  /** 1-based, in its chain. */
  readonly number: number;
  /** What it does with a packet, of these. */
  readonly verdict: "REJECT" | "DROP" | null;
  readonly packets: bigint;
}

/** Where things are in one family: arguments of system calls, and offsets in an entry. */
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
/** The kernel's chains, in the order of their hooks' numbers. */
const HOOKS = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];
/** struct ipt_getinfo: the name, valid_hooks, hook_entry, underflow, num_entries and size. */
const VALID_HOOKS = NAME;
const HOOK_ENTRIES = NAME + 4;
const INFO_BYTES = HOOK_ENTRIES + 2 * 4 * HOOKS.length + 8;
/** struct ipt_get_entries: name and size, and alignment to 8. */
const ENTRIES_HEAD = 40;
/** −NF_DROP − 1 of a standard target. */
const VERDICT_DROP = -1;

/** The rules of a table in this thread's network namespace, with their counters; no policies. */
export function countedRules(family: Family, table: string): CountedRule[] {
  const layout = LAYOUTS[family];
  const fd = check(libc().socket(layout.domain, SOCK_RAW, IPPROTO_RAW), "open a raw socket");
  try {
    const info = new DataView(ask(fd, layout, GET_INFO, table, INFO_BYTES).buffer);
    const size = info.getUint32(INFO_BYTES - 4, true);
    const entries = ask(fd, layout, GET_ENTRIES, table, ENTRIES_HEAD + size, size);
    return readRules(entries.subarray(ENTRIES_HEAD), builtInChains(info), layout);
  } finally {
    close(fd);
  }
}

function ask(
  fd: number,
  { level }: Layout,
  option: number,
  table: string,
  length: number,
  size = 0,
): Uint8Array<ArrayBuffer> {
  const buffer = new Uint8Array(length);
  buffer.set(new TextEncoder().encode(table));
  if (size > 0) new DataView(buffer.buffer).setUint32(NAME, size, true);
  const got = libc().getsockopt(fd, level, option, buffer, Uint32Array.of(length));
  check(got, `read the table ${table}`);
  return buffer;
}

/** Names by where the chains begin. */
function builtInChains(info: DataView): Map<number, string> {
  const valid = info.getUint32(VALID_HOOKS, true);
  return new Map(
    HOOKS.flatMap((name, hook) =>
      (valid >> hook & 1) === 0 ? [] : [[info.getUint32(HOOK_ENTRIES + 4 * hook, true), name]]
    ),
  );
}

/** Every chain ends with its policy, or with a return; a chain of users begins with its name. */
function readRules(
  entries: Uint8Array<ArrayBuffer>,
  builtIn: ReadonlyMap<number, string>,
  { targetOffset, packets }: Layout,
): CountedRule[] {
  const view = new DataView(entries.buffer, entries.byteOffset, entries.length);
  const text = (at: number, length: number) =>
    new TextDecoder().decode(entries.subarray(at, at + length)).split("\0", 1)[0];
  const rules: CountedRule[] = [];
  let chain = "";
  let number = 0;
  for (let at = 0; at < entries.length; at += view.getUint16(at + targetOffset + 2, true)) {
    const target = at + view.getUint16(at + targetOffset, true);
    const name = text(target + 2, 29);
    const starts = builtIn.get(at) ?? (name === "ERROR" ? text(target + NAME, 30) : null);
    if (starts !== null) {
      rules.pop();
      [chain, number] = [starts, 0];
      if (name === "ERROR") continue;
    }
    const dropped = name === "" && view.getInt32(target + NAME, true) === VERDICT_DROP;
    rules.push({
      chain,
      number: ++number,
      verdict: name === "REJECT" ? "REJECT" : dropped ? "DROP" : null,
      packets: view.getBigUint64(at + packets, true),
    });
  }
  return rules;
}
