/**
 * Facts about processes, from /proc.
 *
 * @module
 */

import { countEntries, readSpecialFile } from "./special_file.ts";

/** A process beyond doubt: ids are used again, start times are not. */
export interface ProcessIdentity {
  readonly pid: number;
  /** In clock ticks since the machine started. */
  readonly startTime: number;
}

/** Who this process is. */
export function ownIdentity(): ProcessIdentity {
  const startTime = startTimeOf(Deno.pid);
  if (startTime === null) throw notShown();
  return { pid: Deno.pid, startTime };
}

/** Whether exactly this process still runs. */
export function isRunning(process: ProcessIdentity): boolean {
  return startTimeOf(process.pid) === process.startTime;
}

/** Start time of a process that runs, or null: fields 3 and 22. */
function startTimeOf(pid: number): number | null {
  const fields = statOf(pid);
  if (fields === null) return null;
  const state = fields[3];
  return state === "Z" || state === "X" ? null : Number(fields[22]);
}

/**
 * The fields of proc_pid_stat(5) from the third on, at the places where the manual counts them; null
 * when there is no such process.
 */
function statOf(pid: number): readonly string[] | null {
  const stat = readSpecialFile(`/proc/${pid}/stat`);
  if (stat === null) return null;
  // The second field, the program's name in parentheses, may itself contain spaces and ")".
  return ["", "", "", ...stat.slice(stat.lastIndexOf(")") + 2).trimEnd().split(" ")];
}

/** What this process uses, and may use at most: a limit that is none is infinite. */
export interface OwnResources {
  readonly openFiles: number;
  readonly maxOpenFiles: number;
  readonly virtualBytes: number;
  readonly maxVirtualBytes: number;
}

/** The resources of this process: proc_pid_fd(5), proc_pid_limits(5), and field 23 of its stat. */
export function ownResources(): OwnResources {
  const limits = readSpecialFile("/proc/self/limits");
  const stat = statOf(Deno.pid);
  if (limits === null || stat === null) throw notShown();
  return {
    // The directory itself is open while it is read.
    openFiles: countEntries("/proc/self/fd") - 1,
    maxOpenFiles: softLimit(limits, "Max open files"),
    virtualBytes: Number(stat[23]),
    maxVirtualBytes: softLimit(limits, "Max address space"),
  };
}

function softLimit(limits: string, name: string): number {
  const found = new RegExp(`^${name} +(unlimited|\\d+) `, "m").exec(limits);
  if (found === null) throw notShown();
  return found[1] === "unlimited" ? Infinity : Number(found[1]);
}

/** The arguments that this process was started with, the program first: proc_pid_cmdline(5). */
export function ownArguments(): string[] {
  const text = readSpecialFile("/proc/self/cmdline");
  if (text === null) throw notShown();
  return text.replace(/\0$/, "").split("\0");
}

/** The effective capabilities of this process, a bit each: proc_pid_status(5), CapEff. */
export function ownCapabilities(): bigint {
  return ownMask("CapEff");
}

/** Whether this process was started to ignore hang-ups, as nohup(1) does: SigIgn, signal 1. */
export function ignoresHangup(): boolean {
  return (ownMask("SigIgn") & 1n) === 1n;
}

/** A mask in proc_pid_status(5). */
function ownMask(field: string): bigint {
  const status = readSpecialFile("/proc/self/status") ?? "";
  const mask = new RegExp(`^${field}:\\s*([0-9a-f]+)$`, "m").exec(status);
  if (mask === null) throw notShown();
  return BigInt(`0x${mask[1]}`);
}

function notShown(): Error {
  return new Error("/proc does not show this process");
}
