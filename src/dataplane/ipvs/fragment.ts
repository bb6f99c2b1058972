/**
 * What one Service contributes to ipvs mode's state.
 *
 * @module
 */

import type { SetId } from "./names.ts";
import type { VirtualServerState } from "./state.ts";

/** An entry of a set: the set, and the entry as `ipset save` writes it. */
export type SetMember = readonly [set: SetId, entry: string];

/** What one Service contributes. The same thing may be contributed by several, or twice by one. */
export interface IpvsFragment {
  /** Virtual servers at the Service's own addresses. */
  readonly servers: readonly VirtualServerState[];
  /** Those at its node ports: a Service that has the node's address for itself comes before them. */
  readonly nodePortServers: readonly VirtualServerState[];
  /** Addresses for kube-ipvs0. */
  readonly addresses: readonly string[];
  readonly members: readonly SetMember[];
  /** Rules of its own in filter KUBE-IPVS-OUT-FILTER. */
  readonly sourceFilters: readonly string[];
  /** Rules of its own in nat KUBE-IPVS-SHORT-CIRCUIT. */
  readonly shortCircuits: readonly string[];
  /** Those of its node ports, which come after everybody's with an address. */
  readonly nodePortShortCircuits: readonly string[];
  /** What of the Service is not in it, one line each. */
  readonly problems: readonly string[];
}
