/** core/v1 Node. @module */

import type { z } from "zod";
import type { Node } from "../objects.ts";
import { parseAddress } from "../../net/address.ts";
import { clusterMetadata, list, network, object, oneOf, optional, text } from "./fields.ts";

/** Addresses of type InternalIP and ExternalIP are IP addresses; the others are names. */
const nodeAddress = object({ type: text, address: text }).transform((one, context) => {
  if (one.type !== "InternalIP" && one.type !== "ExternalIP") return one;
  const canonical = parseAddress(one.address);
  if (canonical !== null) return { ...one, address: canonical };
  context.addIssue({ code: "custom", path: ["address"], message: "expected an IP address" });
  return one;
});

const spec = object({
  podCIDR: optional(network),
  podCIDRs: optional(list(network, 2)),
  taints: optional(list(object({ key: text, effect: optional(text) }), 1000)),
}).transform(({ podCIDR, podCIDRs, ...rest }) => {
  const networks = podCIDRs ?? (podCIDR === undefined ? undefined : [podCIDR]);
  return networks === undefined ? rest : { ...rest, podCIDRs: networks };
});

export const nodeSchema = object({
  kind: oneOf("Node"),
  metadata: clusterMetadata,
  spec: optional(spec),
  status: optional(object({ addresses: optional(list(nodeAddress, 1000)) })),
}) as z.ZodType<Node>;
