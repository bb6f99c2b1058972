/**
 * The state as plain data for programs.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import type { TableName } from "../iptables/rules.ts";
import { JUMPS } from "./jumps.ts";
import {
  DUMMY_DEVICE,
  type IpSetState,
  type IpvsState,
  serverName,
  type VirtualServerState,
} from "./state.ts";

/** The state of one family. */
export interface IpvsStructure {
  readonly family: Family;
  readonly device: string;
  readonly addresses: readonly string[];
  readonly sets: readonly IpSetState[];
  readonly servers: readonly (VirtualServerState & { readonly name: string })[];
  readonly tables: readonly {
    readonly name: TableName;
    readonly chains: readonly { readonly name: string; readonly rules: readonly string[] }[];
    /** Rules in the kernel's own chains, in the order in which each is put in front of its chain. */
    readonly jumps: readonly { readonly chain: string; readonly rule: string }[];
  }[];
}

/** The structure of a state. */
export function ipvsStructure(
  { family, addresses, sets, servers, rules }: IpvsState,
): IpvsStructure {
  return {
    family,
    device: DUMMY_DEVICE,
    addresses: [...addresses],
    sets: [...sets.values()],
    servers: [...servers.values()].map((server) => ({ name: serverName(server.key), ...server })),
    tables: (["nat", "filter"] as const).map((name) => ({
      name,
      chains: [...rules[name]].map(([name, rules]) => ({ name, rules })),
      jumps: JUMPS.filter(({ table }) => table === name)
        .map(({ chain, spec }) => ({ chain, rule: spec })),
    })),
  };
}
