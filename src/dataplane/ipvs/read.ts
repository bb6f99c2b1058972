/**
 * What a node has of ipvs mode, and what of it is ours.
 *
 * @module
 */

import { type Family, type Network, networkContains, parseNetwork } from "../../net/address.ts";
import { serverFamily } from "../../netlink/generic/ipvs_server.ts";
import type { NodeRules } from "../iptables/read.ts";
import type { Kernel, NodeAddresses } from "./kernel.ts";
import { SET_IDS, type SetId, setName, SETS } from "./names.ts";
import { rulesOf } from "./rules.ts";
import { fromKernel, serverKey } from "./servers.ts";
import {
  type IpSetState,
  type IpvsState,
  type ServerKey,
  serverName,
  type VirtualServerState,
} from "./state.ts";

/** What of a kernel is read. */
export type KernelReader = Pick<Kernel, "servers" | "reals" | "set" | "addresses">;

/** By what virtual servers are recognised as ours. */
export interface Ownership {
  /** Ours whatever else is known: what is or was asked for. */
  readonly known: ReadonlySet<string>;
  /** Networks whose virtual servers are others' unless they are known. */
  readonly excluded: readonly string[];
}

/**
 * Reads what a node has of ours in one family. Throws an Error when there is a set of one of our
 * names that is of another type.
 *
 * Whose a virtual server is, is not written on it. Ours are at addresses that kube-ipvs0 has or that
 * the set of its addresses names, at addresses and ports that our sets of Services' name, or at this
 * node's addresses and ports that our sets of node ports name; kube-proxy's are too. All others stay,
 * as do those that a rule's mark leads to.
 */
export function readNode(
  kernel: KernelReader,
  rules: NodeRules,
  family: Family,
  { known, excluded }: Ownership,
): IpvsState {
  const { onDevice, elsewhere } = kernel.addresses(family);
  const sets = readSets(kernel, family);
  const networks = excluded.map((text) => parseNetwork(text)!);
  const isOurs = recognise(sets, family, { onDevice, elsewhere }, networks);
  const servers = new Map<string, VirtualServerState>();
  for (const listed of kernel.servers()) {
    if (serverFamily(listed) !== family) continue;
    const key = serverKey(listed);
    if (key === null) continue;
    const name = serverName(key);
    if (!known.has(name) && !isOurs(key)) continue;
    servers.set(name, fromKernel(key, listed, kernel.reals(listed)));
  }
  return { family, servers, addresses: new Set(onDevice), sets, rules: rulesOf(rules) };
}

function readSets(kernel: KernelReader, family: Family): Map<string, IpSetState> {
  const sets = new Map<string, IpSetState>();
  for (const id of SET_IDS) {
    const name = setName(id, family);
    const found = kernel.set(name);
    if (found === null) continue;
    const { type } = SETS[id];
    if (found.type !== type || (found.family !== null && found.family !== family)) {
      throw new Error(
        `there is a set ${name} of type ${found.type} for ${found.family ?? "ports"}; ` +
          `expected ${type} for ${family}`,
      );
    }
    sets.set(name, { name, type, entries: found.entries });
  }
  return sets;
}

/** Sets of what clients dial at Services' addresses, wherever these are. */
const DIALLED = [
  "clusterIP",
  "externalIP",
  "externalIPLocal",
  "loadBalancer",
] as const satisfies readonly SetId[];

function recognise(
  sets: ReadonlyMap<string, IpSetState>,
  family: Family,
  { onDevice, elsewhere }: NodeAddresses,
  excluded: readonly Network[],
): (key: ServerKey) => boolean {
  const entries = (id: SetId) => sets.get(setName(id, family))?.entries ?? [];
  const addresses = new Set([...onDevice, ...entries("addresses")]);
  const dialled = new Set(DIALLED.flatMap(entries));
  const node = new Set(elsewhere);
  const nodePorts = {
    TCP: new Set(entries("nodePortTCP")),
    UDP: new Set(entries("nodePortUDP")),
    SCTP: new Set(entries("nodePortSCTP").map((entry) => entry.slice(entry.lastIndexOf(":") + 1))),
  };
  return (key) => {
    if ("mark" in key) return false;
    if (excluded.some((network) => networkContains(network, key.address))) return false;
    const member = `${key.address},${key.protocol.toLowerCase()}:${key.port}`;
    return addresses.has(key.address) || dialled.has(member) ||
      (node.has(key.address) && nodePorts[key.protocol].has(String(key.port)));
  };
}
