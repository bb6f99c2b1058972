/**
 * Whether a node takes rules such as ours: one of each kind, in chains that nothing leads to, made
 * and removed again.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import { NodeRulesAccess, type RulesAccess } from "./apply.ts";
import { detectPrograms, type ProgramRunner } from "./programs.ts";
import { TABLES } from "./rules.ts";
import { chainLine, ruleLine } from "./text.ts";
import { messageOf } from "../../errors.ts";

const CHAIN = "SWITCHYARD-TRIAL";

/** What a trial found. */
export interface Trial {
  readonly usable: readonly Family[];
  /** Why the others are not, one line each. */
  readonly problems: readonly string[];
}

/**
 * Tries the iptables that the node uses. Needs CAP_NET_ADMIN in the runner's namespace; rejects
 * with one line when iptables is not installed.
 */
export async function tryIptables(
  runner: ProgramRunner,
  families: readonly Family[],
): Promise<Trial> {
  const access = new NodeRulesAccess(runner, await detectPrograms(runner));
  const usable: Family[] = [];
  const problems: string[] = [];
  for (const family of families) {
    try {
      await tryFamily(access, family);
      usable.push(family);
    } catch (error) {
      problems.push(messageOf(error));
    }
  }
  return { usable, problems };
}

/** The chains are removed also when only some of the rules were taken. */
async function tryFamily(access: RulesAccess, family: Family): Promise<void> {
  try {
    await access.restore(family, text((table) => rulesFor(family)[table]));
  } finally {
    await access.restore(family, text(() => [], `-X ${CHAIN}`));
  }
}

function text(rulesOf: (table: typeof TABLES[number]) => readonly string[], last?: string): string {
  const lines = TABLES.flatMap((table) => [
    `*${table}`,
    chainLine(CHAIN),
    ...rulesOf(table).map((rule) => ruleLine("-A", CHAIN, rule)),
    ...(last === undefined ? [] : [last]),
    "COMMIT",
  ]);
  return [...lines, ""].join("\n");
}

/** Every match and target that rendered rules use, but for nfacct, which they can do without. */
function rulesFor(family: Family): Readonly<Record<typeof TABLES[number], readonly string[]>> {
  const backend = family === "IPv4" ? "192.0.2.1:1" : "[2001:db8::1]:1";
  return {
    filter: [
      "-m comment --comment trial -m conntrack --ctstate NEW -m addrtype --dst-type LOCAL -j REJECT",
      "-m mark --mark 0x1/0x1 -j DROP",
    ],
    nat: [
      "-m statistic --mode random --probability 0.5000000000 -j MARK --or-mark 0x1",
      `-m recent --name ${CHAIN} --rcheck --seconds 1 --reap -j RETURN`,
      `-p tcp -m tcp --dport 1 -j DNAT --to-destination ${backend}`,
      "-j MASQUERADE",
    ],
  };
}
