/**
 * EndpointSlices that mirror an Endpoints object, for Services without a selector, as the cluster's
 * EndpointSliceMirroring controller makes them (kubernetes pkg/controller/endpointslicemirroring).
 *
 * @module
 */

import { FAMILIES, familyOf } from "../../net/address.ts";
import { type EndpointSlice, SERVICE_NAME_LABEL, type SliceEndpoint } from "../objects.ts";
import type { EndpointAddress, Endpoints } from "../schema/endpoints.ts";
import { MANAGED_BY_LABEL, MAX_ENDPOINTS } from "./endpoint_slices.ts";
import { nameSuffix } from "./hash.ts";

/** Value of the managed-by label on mirrored slices. */
export const MIRRORING_CONTROLLER = "endpointslicemirroring-controller.k8s.io";
const SKIP_MIRROR_LABEL = "endpointslice.kubernetes.io/skip-mirror";
const LEADER_ANNOTATION = "control-plane.alpha.kubernetes.io/leader";

/**
 * The slices of an Endpoints object: for each subset and family, its addresses as ready endpoints
 * and its notReadyAddresses as endpoints that are not. Objects that opted out of mirroring, and
 * those that only hold a leader election's record, have none.
 */
export function mirroredSlicesOf(endpoints: Endpoints): EndpointSlice[] {
  const { metadata, subsets } = endpoints;
  if (metadata.labels?.[SKIP_MIRROR_LABEL] === "true") return [];
  if (metadata.annotations?.[LEADER_ANNOTATION] !== undefined) return [];
  const slices: EndpointSlice[] = [];
  for (const [index, subset] of subsets.entries()) {
    const all = [
      ...subset.addresses.map((address) => mirrored(address, true)),
      ...subset.notReadyAddresses.map((address) => mirrored(address, false)),
    ];
    const ports = subset.ports.map(({ name, ...port }) =>
      name === undefined || name === "" ? port : { name, ...port }
    );
    for (const family of FAMILIES) {
      const some = all.filter((endpoint) => familyOf(endpoint.addresses[0]) === family);
      for (let start = 0; start < some.length; start += MAX_ENDPOINTS) {
        const part = `${nameSuffix(`mirrored/${index}`)}-${start / MAX_ENDPOINTS}`;
        slices.push({
          kind: "EndpointSlice",
          metadata: {
            name: `${metadata.name}-${family.toLowerCase()}-${part}`,
            namespace: metadata.namespace,
            labels: {
              ...metadata.labels,
              [SERVICE_NAME_LABEL]: metadata.name,
              [MANAGED_BY_LABEL]: MIRRORING_CONTROLLER,
            },
          },
          addressType: family,
          endpoints: some.slice(start, start + MAX_ENDPOINTS),
          ports,
        });
      }
    }
  }
  return slices;
}

function mirrored({ ip, ...rest }: EndpointAddress, ready: boolean): SliceEndpoint {
  return { addresses: [ip], conditions: { ready }, ...rest };
}
