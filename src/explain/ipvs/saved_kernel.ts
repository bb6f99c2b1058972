/**
 * A kernel in ipvs mode as the texts of `ipvsadm-save -n` and `ipset save` show it, to be read like
 * one that is there.
 *
 * @module
 */

import type { NodeAddresses, NodeSet } from "../../dataplane/ipvs/kernel.ts";
import { setName } from "../../dataplane/ipvs/names.ts";
import type { KernelReader } from "../../dataplane/ipvs/read.ts";
import { serverKey, toKernel } from "../../dataplane/ipvs/servers.ts";
import { serverName } from "../../dataplane/ipvs/state.ts";
import { FAMILIES, type Family, familyOf } from "../../net/address.ts";
import type {
  ListedRealServer,
  ListedVirtualServer,
  VirtualServerId,
} from "../../netlink/generic/ipvs.ts";
import { NO_STATISTICS, serverFamily } from "../../netlink/generic/ipvs_server.ts";
import { parseIpSets } from "../netfilter/ipset.ts";
import type { SavedServers } from "./save_text.ts";
import type { RealServer, VirtualServer } from "./servers.ts";

/** What programs print of a node. */
export interface SavedKernelParts {
  readonly servers: SavedServers;
  readonly sets: ReadonlyMap<string, NodeSet>;
  /** The node's own addresses, as nothing that is printed names them. */
  readonly nodeAddresses: readonly string[];
}

/**
 * What was printed, as a kernel lists it. The addresses of kube-ipvs0 are taken from the set that
 * names them, as no text has the device's own.
 */
export class SavedKernel implements KernelReader {
  readonly #parts: SavedKernelParts;

  constructor(parts: SavedKernelParts) {
    this.#parts = parts;
  }

  servers(): readonly ListedVirtualServer[] {
    return FAMILIES.flatMap((family) =>
      [...this.#parts.servers[family].values()].map((server) => listed(server, family))
    );
  }

  reals(id: VirtualServerId): readonly ListedRealServer[] {
    const key = serverKey(id);
    if (key === null) return [];
    const server = this.#parts.servers[serverFamily(id)].get(serverName(key));
    return server?.realServers.map(listedReal) ?? [];
  }

  set(name: string): NodeSet | null {
    return this.#parts.sets.get(name) ?? null;
  }

  addresses(family: Family): NodeAddresses {
    return {
      onDevice: this.set(setName("addresses", family))?.entries ?? [],
      elsewhere: this.#parts.nodeAddresses.filter((address) => familyOf(address) === family),
    };
  }
}

function listed(server: VirtualServer, family: Family): ListedVirtualServer {
  const { persistenceSeconds, onePacket = false, engine = null, clientBits } = server;
  const persistence = persistenceSeconds === null
    ? null
    : { timeout: persistenceSeconds, prefix: clientBits };
  return {
    schedulerFlags: 0,
    ...toKernel(server, family),
    persistence,
    onePacket,
    engine,
    statistics: NO_STATISTICS,
  };
}

function listedReal({ address, port, weight, method, limited }: RealServer): ListedRealServer {
  return {
    address,
    port,
    weight,
    method,
    upperThreshold: Number(limited),
    lowerThreshold: 0,
    activeConnections: 0,
    inactiveConnections: 0,
    persistentConnections: 0,
    statistics: NO_STATISTICS,
  };
}

/**
 * Reads the output of `ipset save`: every set by its name. Throws IpSetError.
 */
export function parseSavedSets(text: string): Map<string, NodeSet> {
  // Says what is wrong, and where.
  parseIpSets(text);
  const sets = new Map<string, NodeSet & { readonly entries: string[] }>();
  for (const line of text.split("\n")) {
    const [verb, name, what, ...options] = line.trim().split(/\s+/);
    if (verb === "create") sets.set(name, { name, type: what, ...familyIn(options), entries: [] });
    else if (verb === "add") sets.get(name)!.entries.push(what);
  }
  for (const { entries } of sets.values()) entries.sort();
  return sets;
}

/** "family inet6" of a set; those of ports have none. */
function familyIn(options: readonly string[]): Pick<NodeSet, "family"> {
  const family = options[options.indexOf("family") + 1];
  if (!options.includes("family")) return { family: null };
  return { family: family === "inet6" ? "IPv6" : "IPv4" };
}
