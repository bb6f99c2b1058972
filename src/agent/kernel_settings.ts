/**
 * What kube-proxy sets of the kernel when it starts, besides rules: the limits of connection tracking,
 * and what becomes of the process when memory runs out.
 *
 * Source: kube-proxy's cmd/kube-proxy/app/conntrack.go and server_linux.go. Where kube-proxy gives up,
 * as it does in a network namespace of its own, this only tells.
 *
 * @module
 */

import type { ConntrackLimits } from "../config/parts.ts";
import { messageOf } from "../errors.ts";
import { readSpecialFile, writeSpecialFile } from "../linux/special_file.ts";
import { readSysctl, writeSysctl } from "../linux/sysctl.ts";
import { Conntrack } from "../netlink/netfilter/conntrack.ts";

const HASH_SIZE = "/sys/module/nf_conntrack/parameters/hashsize";
const CPUS = "/sys/devices/system/cpu/online";

/** A kernel parameter and what it is to be. */
export interface Setting {
  /** As for sysctl(8). */
  readonly name: string;
  readonly value: number;
  /** Left as it is where it is higher. */
  readonly onlyRaise: boolean;
}

/** The parameters that connection tracking is to have; what is 0 is left as it is. */
export function conntrackSettings(limits: ConntrackLimits, cpus: number): Setting[] {
  const { maxPerCore, min } = limits;
  const max = maxPerCore === 0 ? 0 : Math.max(maxPerCore * cpus, min);
  const seconds = (ms: number) => Math.floor(ms / 1000);
  const of = (name: string, value: number, onlyRaise = false): Setting => ({
    name: `net.netfilter.nf_conntrack_${name}`,
    value,
    onlyRaise,
  });
  return [
    of("max", max, true),
    of("tcp_timeout_established", seconds(limits.tcpEstablishedMs)),
    of("tcp_timeout_close_wait", seconds(limits.tcpCloseWaitMs)),
    of("tcp_be_liberal", limits.tcpBeLiberal ? 1 : 0),
    of("udp_timeout", seconds(limits.udpMs)),
    of("udp_timeout_stream", seconds(limits.udpStreamMs)),
  ].filter(({ value }) => value > 0);
}

/**
 * CPUs of this machine, hyper-threads each: connections come from all of them, whatever part of the
 * machine a container's limits leave to this process.
 */
export function logicalCpus(): number {
  const online = readSpecialFile(CPUS);
  return online === null ? navigator.hardwareConcurrency : cpusIn(online);
}

/** How many CPUs a list has, as the kernel writes one: "0-3,8" has five. */
export function cpusIn(list: string): number {
  let count = 0;
  for (const range of list.trim().split(",")) {
    const [first, last = first] = range.split("-").map(Number);
    count += last - first + 1;
  }
  return count;
}

/** Sets connection tracking in this thread's network namespace; what could not be, one line each. */
export function setConntrack(limits: ConntrackLimits, cpus = logicalCpus()) {
  const failures: string[] = [];
  const attempt = (step: () => void) => {
    try {
      step();
    } catch (error) {
      failures.push(messageOf(error));
    }
  };
  const settings = conntrackSettings(limits, cpus);
  if (settings.some(({ name }) => readSysctl(name) === null)) attempt(loadConntrack);
  for (const setting of settings) attempt(() => applySetting(setting));
  return failures;
}

/** A kernel that tracks connections with a module loads it, and has the parameters, when it is asked. */
function loadConntrack(): void {
  using conntrack = Conntrack.open();
  conntrack.table();
}

function applySetting({ name, value, onlyRaise }: Setting): void {
  const current = readSysctl(name);
  const isHigher = onlyRaise && Number(current) >= value;
  if (current !== String(value) && !isHigher) writeSysctl(name, value);
  if (!name.endsWith("_max")) return;
  // Who else has raised the limit may have left the table small, with long chains in its buckets.
  const buckets = missingBuckets(value, readSpecialFile(HASH_SIZE));
  if (buckets !== null) writeSpecialFile(HASH_SIZE, `${buckets}`);
}

/**
 * The buckets that the table is to have for so many connections, one for four; null: it has enough.
 *
 * @param hashSize how many it has, as the kernel tells; null: it does not.
 */
export function missingBuckets(connections: number, hashSize: string | null): number | null {
  const buckets = Math.floor(connections / 4);
  return hashSize === null || Number(hashSize) >= buckets ? null : buckets;
}

/**
 * How much sooner or later than others this process is ended when memory runs out, −1000 (never) to
 * 1000: proc_pid_oom_score_adj(5).
 *
 * @throws {SystemError} when it may not be lowered, which takes CAP_SYS_RESOURCE.
 */
export function setOomScore(adjustment: number): void {
  writeSpecialFile("/proc/self/oom_score_adj", `${adjustment}\n`);
}
