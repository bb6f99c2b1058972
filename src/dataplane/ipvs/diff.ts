/**
 * From the state that is there to the state that should be: pure.
 *
 * @module
 */

import { keyOf } from "../iptables/transaction.ts";
import type { TableName } from "../iptables/rules.ts";
import { sameServer, type StateChange } from "./change.ts";
import type { IpvsState } from "./state.ts";

/** What makes one state into another of the same family. */
export function diffStates(current: IpvsState, desired: IpvsState): StateChange {
  return {
    servers: diffServers(current, desired),
    addresses: diffSets(current.addresses, desired.addresses),
    sets: diffMembers(current, desired),
    rules: sameRules(current, desired) ? null : { before: current.rules, after: desired.rules },
  };
}

function diffServers(current: IpvsState, desired: IpvsState): StateChange["servers"] {
  const names = new Set([...desired.servers.keys(), ...current.servers.keys()]);
  return [...names].flatMap((name) => {
    const before = current.servers.get(name) ?? null;
    const after = desired.servers.get(name) ?? null;
    return sameServer(before, after) ? [] : [{ before, after }];
  });
}

function diffSets(current: ReadonlySet<string>, desired: ReadonlySet<string>) {
  return {
    added: [...desired].filter((item) => !current.has(item)),
    removed: [...current].filter((item) => !desired.has(item)),
  };
}

/** A set that is to be made has all its entries added; none is ever removed as a whole. */
function diffMembers(current: IpvsState, desired: IpvsState): StateChange["sets"] {
  const changes: [string, ReturnType<typeof diffSets>][] = [];
  for (const [name, { entries }] of desired.sets) {
    const change = diffSets(new Set(current.sets.get(name)?.entries), new Set(entries));
    if (change.added.length + change.removed.length > 0) changes.push([name, change]);
  }
  return new Map(changes);
}

/** Whether all rules mean the same, however they are written. */
function sameRules(current: IpvsState, desired: IpvsState): boolean {
  const { family } = desired;
  const written = (rules: IpvsState["rules"], table: TableName) =>
    [...rules[table]].map(([chain, specs]) =>
      [chain, ...specs.map((spec) => keyOf(spec, family))].join("\n")
    ).sort().join("\n\n");
  return (["nat", "filter"] as const).every((table) =>
    written(current.rules, table) === written(desired.rules, table)
  );
}
