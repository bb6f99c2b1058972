/** core/v1 Node. @module */

import type { Node } from "../objects.ts";
import { parseAddress } from "../../net/address.ts";
import { type Decoder, list, mapped, object, optional } from "./decoder.ts";
import { clusterMetadata, network, oneOf, text } from "./fields.ts";

/**
 * Addresses of type InternalIP and ExternalIP are IP addresses, the others are names. An API server
 * takes anything there: what is none is left out, so that the rest of the Node still counts.
 */
const nodeAddresses = mapped(
  list(object({ type: text, address: text }), 1000),
  (addresses) =>
    addresses.flatMap((one) => {
      if (one.type !== "InternalIP" && one.type !== "ExternalIP") return [one];
      const canonical = parseAddress(one.address);
      return canonical === null ? [] : [{ ...one, address: canonical }];
    }),
);

const spec = mapped(
  object({
    podCIDR: optional(network),
    podCIDRs: optional(list(network, 2)),
    taints: optional(list(object({ key: text, effect: optional(text) }), 1000)),
  }),
  ({ podCIDR, podCIDRs, ...rest }) => {
    const networks = podCIDRs ?? (podCIDR === undefined ? undefined : [podCIDR]);
    return networks === undefined ? rest : { ...rest, podCIDRs: networks };
  },
);

export const nodeSchema = object({
  kind: oneOf("Node"),
  metadata: clusterMetadata,
  spec: optional(spec),
  status: optional(object({ addresses: optional(nodeAddresses) })),
}) as Decoder<Node>;
