/**
 * Building blocks of the object schemas: scalars with the Kubernetes API's own limits, and metadata.
 *
 * @module
 */

import {
  type Family,
  familyOf,
  formatNetwork,
  parseAddress,
  parseNetwork,
} from "../../net/address.ts";
import type { Metadata } from "../objects.ts";
import {
  type Decoder,
  defaulted,
  list,
  mapOf,
  mapped,
  object,
  optional,
  scalar,
} from "./decoder.ts";
import { sharedText } from "./shared.ts";

/** A string that a predicate accepts. */
function string(expected: string, accepts: (value: string) => boolean) {
  return scalar(
    expected,
    (value) => typeof value === "string" && accepts(value) ? value : undefined,
  );
}

/** One of a few words. */
export function oneOf<const Words extends readonly string[]>(...words: Words) {
  return scalar<Words[number]>(
    `one of ${words.join(", ")}`,
    (value) => words.find((word) => word === value),
  );
}

/** A whole number within bounds. */
export function integer(minimum: number, maximum: number) {
  return scalar(
    `a whole number from ${minimum} to ${maximum}`,
    (value) =>
      Number.isInteger(value) && Number(value) >= minimum && Number(value) <= maximum
        ? Number(value)
        : undefined,
  );
}

export const text = string("a string", () => true);
export const flag = scalar(
  "true or false",
  (value) => typeof value === "boolean" ? value : undefined,
);

const DNS_LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const DNS_SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

function isDnsLabel(value: string): boolean {
  return value.length <= 63 && DNS_LABEL.test(value);
}

function isDnsSubdomain(value: string): boolean {
  return value.length <= 253 && DNS_SUBDOMAIN.test(value);
}

/** DNS-1123 label: names of namespaces, Services and Service ports. */
export const dnsLabel = string(
  "a DNS label (lower case letters, digits and -, at most 63)",
  isDnsLabel,
);
/** The name of a Service's or slice's port: "" is that of an unnamed one. */
export const portName = string("a DNS label", (value) => value === "" || isDnsLabel(value));
/** DNS-1123 subdomain: names of most objects. */
export const dnsSubdomain = string(
  "a DNS name (lower case letters, digits, - and ., at most 253)",
  isDnsSubdomain,
);
/** What an ExternalName points to: a DNS name that may end in a dot. */
export const externalHostname = string(
  "a DNS name",
  (value) => isDnsSubdomain(value.endsWith(".") ? value.slice(0, -1) : value),
);

/** IANA service name, as container ports are named: at most 15, with a letter, no double hyphen. */
function isPortName(value: string): boolean {
  return value.length <= 15 && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(value) &&
    /[a-z]/.test(value) && !value.includes("--");
}
export const containerPortName = string(
  "a port name (lower case letters, digits and -, at most 15, with a letter)",
  isPortName,
);

/** Port numbers; 0 is none. */
export const port = integer(1, 65535);
/** A target port: a number, or the name of a container port. */
export const targetPort = scalar<number | string>(
  "a whole number from 1 to 65535 or a port name",
  (value) => {
    if (typeof value === "string") return isPortName(value) ? value : undefined;
    const inRange = Number.isInteger(value) && Number(value) >= 1 && Number(value) <= 65535;
    return inRange ? Number(value) : undefined;
  },
);
/** A port that 0 leaves out, as in objects that an API server returns. */
export const portOrZero = mapped(
  integer(0, 65535),
  (value) => value === 0 ? undefined : value,
);
/** Transport protocol, TCP by default. */
export const protocol = defaulted(oneOf("TCP", "UDP", "SCTP"), "TCP");
/** IP family. */
export const family: Decoder<Family> = oneOf("IPv4", "IPv6");

/** An IP address in any form that kube-proxy accepts; canonical in the result. */
export const address = scalar(
  "an IP address",
  (value) => typeof value === "string" ? parseAddress(value) ?? undefined : undefined,
);
/** A network as "address/prefix", sloppy as {@link address}; surrounding blanks are dropped. */
export const network = scalar("a network, address/prefix", (value) => {
  if (typeof value !== "string" || !value.includes("/")) return undefined;
  const parsed = parseNetwork(value.trim());
  return parsed === null ? undefined : formatNetwork(parsed);
});

/** Whether an address can be dialled from elsewhere: not unspecified, loopback or link-local. */
export function isGlobal(canonical: string): boolean {
  if (familyOf(canonical) === "IPv4") {
    return canonical !== "0.0.0.0" && !/^(127|169\.254|224\.0\.0)\./.test(canonical);
  }
  return canonical !== "::" && canonical !== "::1" && !/^(fe[89ab]|ff[0-9a-f]2:)/.test(canonical);
}
/** An address that other hosts can reach, as the API server demands of endpoints and external IPs. */
export const globalAddress = scalar(
  "an IP address that is not unspecified, loopback or link-local",
  (value) => {
    const canonical = typeof value === "string" ? parseAddress(value) : null;
    return canonical !== null && isGlobal(canonical) ? canonical : undefined;
  },
);

/** A map of strings; a null value is the empty string, as in the API. */
export const stringMap = mapOf(
  scalar(
    "a string",
    (value) => value === null ? "" : typeof value === "string" ? value : undefined,
  ),
  "an object with string values",
);

/** kubectl's copy of the whole object, of no use here. */
const LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration";
const annotations = mapped(stringMap, (map) => {
  delete map[LAST_APPLIED];
  return Object.keys(map).length === 0 ? undefined : map;
});

const namespace = defaulted(mapped(dnsLabel, sharedText), "default");
const metadataFields = {
  labels: optional(stringMap),
  annotations: optional(annotations),
  uid: optional(text),
  resourceVersion: optional(text),
  deletionTimestamp: optional(text),
};

/** Metadata of a namespaced object. */
export function namespacedMetadata(name: Decoder<string> = dnsSubdomain) {
  const schema = object({ name, namespace, ...metadataFields });
  return schema as Decoder<Metadata & { readonly namespace: string }>;
}

/** Metadata of pods and workloads, which know what controls them. */
export const ownedMetadata = object({
  name: dnsSubdomain,
  namespace,
  ...metadataFields,
  ownerReferences: optional(
    list(object({ kind: text, name: text, controller: optional(flag) }), 100),
  ),
}) as Decoder<Metadata & { readonly namespace: string }>;

/** Metadata of a cluster-scoped object. */
export const clusterMetadata = object({ name: dnsSubdomain, ...metadataFields }) as Decoder<
  Metadata
>;
