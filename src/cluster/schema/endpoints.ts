/** discovery.k8s.io/v1 EndpointSlice and its predecessor, core/v1 Endpoints. @module */

import type { EndpointSlice, Metadata, Protocol } from "../objects.ts";
import { familyOf, parseAddress } from "../../net/address.ts";
import { type Decoder, defaulted, list, mapped, object, optional, refuse } from "./decoder.ts";
import { shared, sharedJson, sharedText } from "./shared.ts";
import {
  dnsLabel,
  dnsSubdomain,
  flag,
  globalAddress,
  isGlobal,
  namespacedMetadata,
  oneOf,
  port,
  portName,
  portOrZero,
  protocol,
  text,
} from "./fields.ts";

/** One address of an Endpoints subset. */
export interface EndpointAddress {
  readonly ip: string;
  readonly hostname?: string;
  readonly nodeName?: string;
  readonly targetRef?: {
    readonly kind?: string;
    readonly namespace?: string;
    readonly name?: string;
  };
}

/** core/v1 Endpoints, named as its Service. */
export interface Endpoints {
  readonly kind: "Endpoints";
  readonly metadata: Metadata & { readonly namespace: string };
  readonly subsets: readonly {
    readonly addresses: readonly EndpointAddress[];
    readonly notReadyAddresses: readonly EndpointAddress[];
    readonly ports: readonly {
      readonly name?: string;
      readonly protocol: Protocol;
      readonly port: number;
    }[];
  }[];
}

const targetRef = optional(object({
  kind: optional(mapped(text, sharedText)),
  namespace: optional(mapped(text, sharedText)),
  name: optional(text),
}));
const zoneOrNode = optional(list(object({ name: text }), 1000));

const conditions = mapped(
  object({
    ready: optional(flag),
    serving: optional(flag),
    terminating: optional(flag),
  }),
  shared(({ ready, serving, terminating }) => `${ready}/${serving}/${terminating}`),
);

const endpoint = object({
  addresses: mapped(list(text, 100), (addresses, issues) => {
    if (addresses.length === 0) refuse(issues, "expected at least one address");
    return addresses;
  }),
  conditions: optional(conditions),
  hostname: optional(dnsLabel),
  nodeName: optional(mapped(dnsSubdomain, sharedText)),
  zone: optional(mapped(text, sharedText)),
  targetRef,
  hints: optional(object({ forZones: zoneOrNode, forNodes: zoneOrNode })),
});

const ports = mapped(
  list(object({ name: optional(portName), protocol, port: optional(portOrZero) }), 20_000),
  sharedJson(),
);

/** An EndpointSlice; its addresses are checked against, and normalised for, its address type. */
export const endpointSliceSchema = mapped(
  object({
    kind: oneOf("EndpointSlice"),
    metadata: namespacedMetadata(),
    addressType: oneOf("IPv4", "IPv6", "FQDN"),
    endpoints: defaulted(list(endpoint), []),
    ports: defaulted(ports, []),
  }),
  (slice, issues) => {
    if (slice.addressType === "FQDN") return slice;
    for (const [index, { addresses }] of slice.endpoints.entries()) {
      for (const [position, given] of addresses.entries()) {
        const canonical = parseAddress(given);
        if (
          canonical !== null && isGlobal(canonical) && familyOf(canonical) === slice.addressType
        ) {
          addresses[position] = canonical;
        } else {
          refuse(
            issues,
            `expected an ${slice.addressType} address that is not loopback or link-local`,
            ["endpoints", index, "addresses", position],
          );
        }
      }
    }
    return slice;
  },
) as Decoder<EndpointSlice>;

const subsetAddress = object({
  ip: globalAddress,
  hostname: optional(dnsLabel),
  nodeName: optional(dnsSubdomain),
  targetRef,
});

export const endpointsSchema = object({
  kind: oneOf("Endpoints"),
  metadata: namespacedMetadata(),
  subsets: defaulted(
    list(object({
      addresses: defaulted(list(subsetAddress), []),
      notReadyAddresses: defaulted(list(subsetAddress), []),
      ports: defaulted(list(object({ name: optional(portName), protocol, port }), 1000), []),
    })),
    [],
  ),
}) as Decoder<Endpoints>;
