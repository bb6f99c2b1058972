/**
 * Facts about processes, from /proc.
 *
 * @module
 */

import { readSpecialFile } from "../linux/special_file.ts";

/** A process beyond doubt: ids are used again, start times are not. */
export interface ProcessIdentity {
  readonly pid: number;
  /** In clock ticks since the machine started. */
  readonly startTime: number;
}

/** Who this process is. */
export function ownIdentity(): ProcessIdentity {
  const startTime = startTimeOf(Deno.pid);
  if (startTime === null) throw new Error("/proc does not show this process");
  return { pid: Deno.pid, startTime };
}

/** Whether exactly this process still runs. */
export function isRunning(process: ProcessIdentity): boolean {
  return startTimeOf(process.pid) === process.startTime;
}

/** Start time of a process that runs, or null: proc_pid_stat(5), fields 3 and 22. */
function startTimeOf(pid: number): number | null {
  const stat = readSpecialFile(`/proc/${pid}/stat`);
  if (stat === null) return null;
  // The second field, the program's name in parentheses, may itself contain spaces and ")".
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state] = fields;
  return state === "Z" || state === "X" ? null : Number(fields[22 - 3]);
}

/** The arguments that this process was started with, the program first: proc_pid_cmdline(5). */
export function ownArguments(): string[] {
  const text = readSpecialFile("/proc/self/cmdline");
  if (text === null) throw new Error("/proc does not show this process");
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
  if (mask === null) throw new Error("/proc does not show this process");
  return BigInt(`0x${mask[1]}`);
}
