/** discovery.k8s.io/v1 EndpointSlice and its predecessor, core/v1 Endpoints. @module */

import { z } from "zod";
import type { EndpointSlice, Metadata, Protocol } from "../objects.ts";
import { familyOf } from "../../net/address.ts";
import {
  defaulted,
  dnsLabel,
  dnsSubdomain,
  flag,
  globalAddress,
  list,
  namespacedMetadata,
  object,
  oneOf,
  optional,
  port,
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
  kind: optional(text),
  namespace: optional(text),
  name: optional(text),
}));
const zoneOrNode = optional(list(object({ name: text }), 1000));
/** A port name, where "" is the name of an unnamed port. */
const portName = optional(z.union([z.literal(""), dnsLabel], { error: "expected a DNS label" }));

type Conditions = NonNullable<EndpointSlice["endpoints"][number]["conditions"]>;

/** A hundred thousand endpoints share the few combinations of conditions that there are. */
const CONDITIONS = new Map<string, Conditions>();

function sharedConditions(conditions: Conditions): Conditions {
  const key = `${conditions.ready}/${conditions.serving}/${conditions.terminating}`;
  const known = CONDITIONS.get(key);
  if (known === undefined) CONDITIONS.set(key, conditions);
  return known ?? conditions;
}

/** Names of nodes and zones, one string for each, as many as a big cluster has. */
const TEXTS = new Map<string, string>();
const MAX_TEXTS = 10_000;

function sharedText(text: string): string {
  const known = TEXTS.get(text);
  if (known !== undefined) return known;
  if (TEXTS.size >= MAX_TEXTS) TEXTS.clear();
  TEXTS.set(text, text);
  return text;
}

const endpoint = object({
  addresses: list(text, 100).min(1, { error: "expected at least one address" }),
  conditions: optional(
    object({
      ready: optional(flag),
      serving: optional(flag),
      terminating: optional(flag),
    }).transform(sharedConditions),
  ),
  hostname: optional(dnsLabel),
  nodeName: optional(dnsSubdomain.transform(sharedText)),
  zone: optional(text.transform(sharedText)),
  targetRef,
  hints: optional(object({ forZones: zoneOrNode, forNodes: zoneOrNode })),
});

/** An EndpointSlice; its addresses are checked against, and normalised for, its address type. */
export const endpointSliceSchema = object({
  kind: oneOf("EndpointSlice"),
  metadata: namespacedMetadata(),
  addressType: oneOf("IPv4", "IPv6", "FQDN"),
  endpoints: defaulted(list(endpoint), []),
  ports: defaulted(list(object({ name: portName, protocol, port: optional(port) }), 20_000), []),
}).transform((slice, context) => {
  if (slice.addressType === "FQDN") return slice;
  const endpoints = slice.endpoints.map((one, index) => ({
    ...one,
    addresses: one.addresses.map((given, position) => {
      const accepted = globalAddress.safeParse(given);
      if (accepted.success && familyOf(accepted.data) === slice.addressType) return accepted.data;
      context.addIssue({
        code: "custom",
        path: ["endpoints", index, "addresses", position],
        message: `expected an ${slice.addressType} address that is not loopback or link-local`,
      });
      return given;
    }),
  }));
  return { ...slice, endpoints };
}) as z.ZodType<EndpointSlice>;

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
      ports: defaulted(list(object({ name: portName, protocol, port }), 1000), []),
    })),
    [],
  ),
}) as z.ZodType<Endpoints>;
