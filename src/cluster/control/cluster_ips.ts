/** Cluster IPs of Services. @module */

import { familyOf, type Network } from "../../net/address.ts";
import { objectKey, type Service } from "../objects.ts";
import type { ClusterProblem } from "../source.ts";
import { AddressPool } from "./address_pool.ts";
import { type Located, problemWith } from "./located.ts";
import { addressesOf, isHeadless } from "./service_defaults.ts";

/** Addresses given before, by "namespace/name/family". */
export type ClusterIPs = ReadonlyMap<string, string>;

/** Services with their addresses, and those that could not have theirs. */
export interface ClusterIPResult {
  readonly services: readonly Located<Service>[];
  readonly problems: readonly ClusterProblem[];
  readonly given: ClusterIPs;
}

/**
 * Gives Services (with defaults) their cluster IPs: explicit addresses first, in whatever network;
 * then those that had one keep it; the others get a free one. A Service whose explicit address
 * belongs to another one is reported and left out, and so is one for which no address is free.
 */
export function allocateClusterIPs(
  services: readonly Located<Service>[],
  networks: readonly Network[],
  before: ClusterIPs,
): ClusterIPResult {
  const pool = new AddressPool();
  const problems: ClusterProblem[] = [];
  const admitted = services.filter((located) => {
    const conflict = reserveExplicit(pool, located);
    if (conflict !== null) problems.push(conflict);
    return conflict === null;
  });
  const given = new Map<string, string>();
  const wanted = admitted.flatMap(({ object }) => missingFamilies(object));
  for (const { key, owner } of wanted) {
    const kept = before.get(key);
    if (kept === undefined || pool.reserve(kept, owner) !== null) continue;
    given.set(key, kept);
  }
  for (const { key, owner, family } of wanted) {
    if (given.has(key)) continue;
    for (const network of networks) {
      if (network.family !== family) continue;
      const address = pool.allocate(network, owner);
      if (address === null) continue;
      given.set(key, address);
      break;
    }
  }
  const complete = admitted.flatMap((located) => {
    const service = withAddresses(located.object, given);
    if (service !== null) return [{ ...located, object: service }];
    problems.push(problemWith(located, "spec.clusterIP", "no address of the networks is free"));
    return [];
  });
  return { services: complete, problems, given };
}

function reserveExplicit(pool: AddressPool, located: Located<Service>): ClusterProblem | null {
  const { spec } = located.object;
  const owner = objectKey(located.object);
  const addresses = spec.type === "ExternalName" ? [] : addressesOf(spec);
  const taken = addresses.findIndex((address) => !pool.isFree(address));
  if (taken < 0) {
    for (const address of addresses) pool.reserve(address, owner);
    return null;
  }
  const holder = pool.reserve(addresses[taken], owner);
  const field = taken === 0 ? "spec.clusterIP" : `spec.clusterIPs[${taken}]`;
  return problemWith(located, field, `${addresses[taken]} is the address of Service ${holder}`);
}

function missingFamilies(service: Service) {
  if (service.spec.type === "ExternalName" || isHeadless(service)) return [];
  const owner = objectKey(service);
  const explicit = addressesOf(service.spec).map(familyOf);
  return (service.spec.ipFamilies ?? [])
    .filter((family) => !explicit.includes(family))
    .map((family) => ({ key: `${owner}/${family}`, owner, family }));
}

function withAddresses(service: Service, given: ClusterIPs): Service | null {
  const { spec } = service;
  if (spec.type === "ExternalName") return service;
  if (isHeadless(service)) {
    return { ...service, spec: { ...spec, clusterIP: "None", clusterIPs: ["None"] } };
  }
  const explicit = addressesOf(spec);
  const addresses: string[] = [];
  for (const family of spec.ipFamilies ?? []) {
    const address = explicit.find((one) => familyOf(one) === family) ??
      given.get(`${objectKey(service)}/${family}`);
    if (address === undefined) return null;
    addresses.push(address);
  }
  return { ...service, spec: { ...spec, clusterIP: addresses[0], clusterIPs: addresses } };
}
