/**
 * What of ipvs mode someone changed behind our back.
 *
 * @module
 */

import type { Difference } from "../dataplane.ts";
import type { NodeRules } from "../iptables/read.ts";
import { keyOf } from "../iptables/transaction.ts";
import type { LeavingServers } from "./leaving.ts";
import { CHAIN } from "./names.ts";
import { missingJumps } from "./rules.ts";
import { realName } from "./servers.ts";
import { DUMMY_DEVICE, type IpvsState, serverName, type VirtualServerState } from "./state.ts";

/** Everything of a node that differs from a state, but for real servers that are leaving. */
export function findDifferences(
  node: IpvsState,
  tables: NodeRules,
  desired: IpvsState,
  leaving: Pick<LeavingServers, "has" | "isLast">,
): readonly Difference[] {
  return [
    ...serverDifferences(node, desired, leaving),
    ...itemDifferences(`${desired.family} ${DUMMY_DEVICE}`, node.addresses, desired.addresses),
    ...[...desired.sets.values()].flatMap(({ name, entries }) => {
      const found = node.sets.get(name);
      return itemDifferences(
        `set ${name}`,
        found === undefined ? null : new Set(found.entries),
        new Set(entries),
      );
    }),
    ...ruleDifferences(tables, desired),
  ];
}

function itemDifferences(
  where: string,
  found: ReadonlySet<string> | null,
  expected: ReadonlySet<string>,
): Difference[] {
  if (found === null) {
    return [{ where, problem: "missing", found: [], expected: [...expected] }];
  }
  const unexpected = [...found.difference(expected)];
  const missing = [...expected.difference(found)];
  return unexpected.length + missing.length === 0
    ? []
    : [{ where, problem: "changed", found: unexpected, expected: missing }];
}

function serverDifferences(
  node: IpvsState,
  desired: IpvsState,
  leaving: Pick<LeavingServers, "has" | "isLast">,
): Difference[] {
  const names = new Set([...desired.servers.keys(), ...node.servers.keys()]);
  return [...names].flatMap((name): Difference[] => {
    const where = `virtual server ${name}`;
    const expected = desired.servers.get(name);
    const found = node.servers.get(name);
    if (expected === undefined) {
      if (leaving.isLast(name)) return [];
      return [{ where, problem: "unexpected", found: lines(found!), expected: [] }];
    }
    if (found === undefined) {
      return [{ where, problem: "missing", found: [], expected: lines(expected) }];
    }
    const present = {
      ...found,
      realServers: found.realServers.filter((real) =>
        real.weight !== 0 || !leaving.has(serverName(found.key), real)
      ),
    };
    return itemDifferences(where, new Set(lines(present)), new Set(lines(expected)));
  });
}

/** A virtual server line by line. */
function lines(server: VirtualServerState): string[] {
  const { scheduler, flags, persistenceSeconds, realServers } = server;
  const stays = persistenceSeconds === null
    ? ""
    : ` persistent ${persistenceSeconds < 0 ? "by network" : persistenceSeconds}`;
  return [
    `scheduler ${[scheduler, ...[...flags].sort()].join(" ")}${stays}`,
    ...realServers.map((real) =>
      `${realName(real)} ${real.weight < 0 ? "not by NAT, or limited" : `weight ${real.weight}`}`
    ),
  ];
}

function ruleDifferences(tables: NodeRules, { rules, family }: IpvsState): Difference[] {
  return (["nat", "filter", "mangle"] as const).flatMap((table) => {
    const { own, others } = tables[table];
    const desired = new Map(table === "mangle" ? [] : rules[table]).set(CHAIN.canary, []);
    const where = (chain: string) => `${family} ${table} ${chain}`;
    const wrong: Difference[] = [];
    for (const [chain, specs] of desired) {
      const present = own.get(chain);
      const keys = specs.map((spec) => keyOf(spec, family));
      if (present === undefined) {
        wrong.push({ where: where(chain), problem: "missing", found: [], expected: specs });
      } else if (keys.join("\n") !== present.keys.join("\n")) {
        wrong.push({
          where: where(chain),
          problem: "changed",
          found: present.keys.flatMap((key, i) =>
            keys.includes(key) ? [] : [present.specs[i] ?? key]
          ),
          expected: specs.filter((_, i) => !present.keys.includes(keys[i])),
        });
      }
    }
    for (const [chain, { specs, keys }] of own) {
      if (desired.has(chain)) continue;
      const found = specs.map((spec, i) => spec ?? keys[i]);
      wrong.push({ where: where(chain), problem: "unexpected", found, expected: [] });
    }
    for (const { chain, spec } of missingJumps(table, others, family)) {
      wrong.push({ where: where(chain), problem: "changed", found: [], expected: [spec] });
    }
    return wrong;
  });
}
