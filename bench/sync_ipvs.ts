/**
 * What ipvs mode costs, beside the programs that can do the same: `ip -batch`, `ipset restore`,
 * `ipvsadm -R` and `iptables-restore` with the same state. In the virtual machine, as few kernels
 * for development have IPVS; it has one processor, and processes start slowly there.
 *
 * @module
 */

import { VirtualMachine } from "../test/integration/vm/machine.ts";
import type { BenchOptions } from "./options.ts";
import { comparedRow, plainRow, type Row } from "./report.ts";
import type { Cost, IpvsSamples } from "./sync_ipvs_guest.ts";

/** Runs the benchmark. Needs what the virtual machine needs, and ipvsadm, ipset and iptables. */
export async function runIpvs({ rounds, services }: BenchOptions): Promise<Row[]> {
  const machine = await VirtualMachine.prepare();
  if (!(machine instanceof VirtualMachine)) throw machine;
  const rows: Row[] = [];
  for (const size of services) {
    const guest = new URL(`sync_ipvs_guest.ts?services=${size}&rounds=${rounds}`, import.meta.url);
    const report = await machine.run([guest], { seconds: 1800, memory: 2048 });
    const [{ error, value }] = report.results;
    if (error !== null) throw new Error(error);
    rows.push(...rowsOf(`ipvs, ${size} Services`, value as IpvsSamples));
  }
  return rows;
}

const UNITS = {
  ms: ({ ms }: Cost) => ms,
  "ms of CPU": ({ cpuMs }: Cost) => cpuMs,
  messages: ({ messages }: Cost) => messages,
} as const;

/** The rows about one size of cluster: ours beside the programs, then each program alone. */
export function rowsOf(title: string, { ours, programs }: IpvsSamples): Row[] {
  const { endpoint, ...atStart } = programs;
  const together = sums(Object.values(atStart));
  const full = `${title}/full sync/switchyard`;
  return [
    compared(full, "ms", ours.full, "all four programs", together),
    compared(full, "ms of CPU", ours.full, "all four programs", together),
    compared(full, "ms", ours.full, "ipvsadm -R", programs.ipvsadm),
    alone(full, "messages", ours.full),
    ...Object.entries(atStart)
      .map(([name, costs]) => alone(`${title}/full sync/${name}`, "ms", costs)),
    compared(`${title}/endpoint changed/switchyard`, "ms", ours.endpoint, "ipvsadm -R", endpoint),
    alone(`${title}/endpoint changed/switchyard`, "messages", ours.endpoint),
    alone(`${title}/Service added/switchyard`, "ms", ours.added),
    alone(`${title}/Service added/switchyard`, "messages", ours.added),
    alone(`${title}/Service deleted/switchyard`, "ms", ours.deleted),
    alone(`${title}/Service deleted/switchyard`, "messages", ours.deleted),
  ];
}

/** Of all programs of a round together. */
function sums(costs: readonly (readonly Cost[])[]): Cost[] {
  return costs[0].map((_, round) =>
    costs.map((of) => of[round]).reduce((sum, { ms, cpuMs, messages }) => ({
      ms: sum.ms + ms,
      cpuMs: sum.cpuMs + cpuMs,
      messages: sum.messages + messages,
    }))
  );
}

type Unit = keyof typeof UNITS;

function alone(name: string, unit: Unit, costs: readonly Cost[]): Row {
  return plainRow(name, unit, costs.map(UNITS[unit]));
}

/** Ours of all rounds, and the ratio of those in which the programs took part too. */
function compared(
  name: string,
  unit: Unit,
  ours: readonly Cost[],
  against: string,
  theirs: readonly Cost[],
): Row {
  const rounds = Math.min(ours.length, theirs.length);
  const [a, b] = [ours, theirs].map((costs) => costs.slice(0, rounds).map(UNITS[unit]));
  return { ...comparedRow(name, unit, a, against, b), ...alone(name, unit, ours) };
}
