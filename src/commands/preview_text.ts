/**
 * What a change would change, for people.
 *
 * @module
 */

import type { PreviewAnswer } from "../api/preview.ts";
import { formatSocketAddress } from "../net/address.ts";

/** Whether anything would be otherwise than it is. */
export function wouldChange({ node, servicesTotal, rules, connections }: PreviewAnswer): boolean {
  const { moves, ends, orphaned } = connections.totals;
  return node || servicesTotal > 0 || moves + ends + orphaned > 0 ||
    rules.some(({ addedTotal, removedTotal }) => addedTotal + removedTotal > 0);
}

/**
 * The answer of POST /api/v1/preview, with an end of line behind each line.
 *
 * @param live whether there can be connections.
 */
export function formatPreview(answer: PreviewAnswer, live: boolean): string {
  const { node, services, servicesTotal, rules, connections, assumed, solved, ignored } = answer;
  const lines = [
    ...wouldChange(answer) ? [] : ["nothing would change"],
    ...node ? ["what is known of this node: changed"] : [],
    ...services.flatMap(serviceLines),
    ...more(servicesTotal - services.length, "Services"),
    ...rules.flatMap(ruleLines),
    ...live ? connectionLines(connections) : [],
    ...assumed.map((line) => `assumed: ${line}`),
    ...solved.map((line) => `solved: ${line}`),
    ...ignored.length === 0 ? [] : [`of no concern: ${[...new Set(ignored)].join(", ")}`],
  ];
  return lines.map((line) => `${line}\n`).join("");
}

type Service = PreviewAnswer["services"][number];
type Frontend = Service["frontends"]["added"][number];
type Backend = Service["backends"]["added"][number];
type FieldChanges = Service["changes"];

function serviceLines({ service, change, changes, frontends, backends }: Service): string[] {
  return [
    `Service ${service}: ${change}`,
    ...changes.map((one) => `  ~ ${fieldText(one)}`),
    ...sides(frontends, frontendText),
    ...sides(backends, backendText),
  ];
}

function sides<T>(
  { added, removed, changed }: {
    readonly added: readonly T[];
    readonly removed: readonly T[];
    readonly changed: readonly (T & { readonly changes: FieldChanges })[];
  },
  textOf: (item: T) => string,
): string[] {
  return [
    ...removed.map((item) => `  - ${textOf(item)}`),
    ...added.map((item) => `  + ${textOf(item)}`),
    ...changed.map((item) => `  ~ ${textOf(item)}: ${item.changes.map(fieldText).join("; ")}`),
  ];
}

function fieldText({ field, before, after }: FieldChanges[number]): string {
  return `${field} ${before === "" ? "none" : before} becomes ${after === "" ? "none" : after}`;
}

function frontendText({ kind, address, port, protocol, portName }: Frontend): string {
  const at = address === null ? `port ${port}` : formatSocketAddress(address, port);
  return `${kind} ${at}/${protocol}${portName === "" ? "" : ` (${portName})`}`;
}

function backendText({ address, port, protocol, pod, node }: Backend): string {
  const where = [...pod === null ? [] : [`Pod ${pod}`], ...node === null ? [] : [`on ${node}`]];
  const at = `backend ${formatSocketAddress(address, port)}/${protocol}`;
  return where.length === 0 ? at : `${at} (${where.join(" ")})`;
}

function ruleLines(
  { mode, family, added, removed, addedTotal, removedTotal, problems }:
    PreviewAnswer["rules"][number],
): string[] {
  const where = family === null ? mode : `${mode} ${family}`;
  if (addedTotal + removedTotal + problems.length === 0) return [];
  return [
    `${where}: ${addedTotal} lines more, ${removedTotal} less`,
    ...removed.map((line) => `  - ${line}`),
    ...added.map((line) => `  + ${line}`),
    ...more(addedTotal - added.length + removedTotal - removed.length, "lines"),
    ...problems.map((problem) => `  not served: ${problem}`),
  ];
}

function connectionLines(
  { items, totals, looked, complete }: PreviewAnswer["connections"],
): string[] {
  const { moves, ends, orphaned } = totals;
  if (moves + ends + orphaned === 0) return [];
  const of = complete ? `of ${looked}` : `of the first ${looked}`;
  return [
    `connections: ${moves} would move, ${ends} end, ${orphaned} last as long as their backend, ${of}`,
    ...items.map(({ effect, reason, connection: { protocol, original } }) => {
      const { source, sourcePort, dest, port } = original;
      const from = formatSocketAddress(source, sourcePort);
      return `  ${effect}: ${from} -> ${formatSocketAddress(dest, port)}/${protocol}: ${reason}`;
    }),
    ...more(moves + ends + orphaned - items.length, "connections"),
  ];
}

function more(count: number, what: string): string[] {
  return count > 0 ? [`… and ${count} more ${what}`] : [];
}
