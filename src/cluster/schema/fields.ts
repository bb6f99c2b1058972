/**
 * Building blocks of the object schemas: scalars with the Kubernetes API's own limits.
 *
 * Every message reads "expected …"; what was found instead is added where issues become problems,
 * see issues.ts. As in the API, null counts as absent.
 *
 * @module
 */

import { z } from "zod";
import {
  type Family,
  familyOf,
  formatNetwork,
  parseAddress,
  parseNetwork,
} from "../../net/address.ts";
import type { Metadata, Protocol } from "../objects.ts";

/** A scalar: `read` returns the accepted (perhaps normalised) value, or undefined to refuse it. */
export function scalar<T>(expected: string, read: (value: unknown) => T | undefined) {
  return z.unknown().transform((value, context): T => {
    const accepted = read(value);
    if (accepted !== undefined) return accepted;
    context.addIssue({ code: "custom", message: `expected ${expected}`, input: value });
    return z.NEVER;
  });
}

/** A string that satisfies a pattern and a length limit. */
function pattern(expected: string, shape: RegExp, maxLength: number) {
  return scalar(
    expected,
    (value) =>
      typeof value === "string" && value.length <= maxLength && shape.test(value)
        ? value
        : undefined,
  );
}

/** An object of known fields; fields that are unknown, absent or null are not in the result. */
export function object<Shape extends z.ZodRawShape>(shape: Shape) {
  return z.object(shape, { error: "expected an object" }).transform((value) => {
    const fields = value as Record<string, unknown>;
    for (const key of Object.keys(fields)) if (fields[key] === undefined) delete fields[key];
    return value;
  });
}

/** A list, bounded in length. */
export function list<Item extends z.ZodType>(item: Item, maxLength = 100_000) {
  return z.array(item, { error: "expected a list" })
    .max(maxLength, { error: `expected a list of at most ${maxLength} items` });
}

/** A field that may be absent or null. */
export function optional<Value extends z.ZodType>(value: Value) {
  return value.nullish().transform((present) => present ?? undefined);
}

/** A field that has a default when absent or null. */
export function defaulted<Value extends z.ZodType>(value: Value, fallback: z.output<Value>) {
  return value.nullish().transform((present): z.output<Value> => present ?? fallback);
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

export const text = scalar(
  "a string",
  (value) => typeof value === "string" ? value : undefined,
);
export const flag = scalar(
  "true or false",
  (value) => typeof value === "boolean" ? value : undefined,
);

const DNS_LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const DNS_SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

/** DNS-1123 label: names of namespaces, Services and Service ports. */
export const dnsLabel = pattern(
  "a DNS label (lower case letters, digits and -, at most 63)",
  DNS_LABEL,
  63,
);
/** DNS-1123 subdomain: names of most objects. */
export const dnsSubdomain = pattern(
  "a DNS name (lower case letters, digits, - and ., at most 253)",
  DNS_SUBDOMAIN,
  253,
);
/** What an ExternalName points to: a DNS name that may end in a dot. */
export const externalHostname = scalar("a DNS name", (value) => {
  if (typeof value !== "string") return undefined;
  const name = value.endsWith(".") ? value.slice(0, -1) : value;
  return name.length <= 253 && DNS_SUBDOMAIN.test(name) ? value : undefined;
});

/** IANA service name, as container ports are named: at most 15, with a letter, no double hyphen. */
function isPortName(value: string): boolean {
  return value.length <= 15 && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(value) &&
    /[a-z]/.test(value) && !value.includes("--");
}
export const containerPortName = scalar(
  "a port name (lower case letters, digits and -, at most 15, with a letter)",
  (value) => typeof value === "string" && isPortName(value) ? value : undefined,
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
export const portOrZero = integer(0, 65535)
  .transform((value) => value === 0 ? undefined : value);
/** Transport protocol, TCP by default. */
export const protocol = defaulted<z.ZodType<Protocol>>(oneOf("TCP", "UDP", "SCTP"), "TCP");
/** IP family. */
export const family: z.ZodType<Family> = oneOf("IPv4", "IPv6");

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
function isGlobal(canonical: string): boolean {
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
export const stringMap = z.record(
  z.string(),
  scalar(
    "a string",
    (value) => value === null ? "" : typeof value === "string" ? value : undefined,
  ),
  { error: "expected an object with string values" },
);

/** kubectl's copy of the whole object, of no use here. */
const LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration";
const annotations = stringMap.transform((map) => {
  delete map[LAST_APPLIED];
  return Object.keys(map).length === 0 ? undefined : map;
});

const metadataFields = {
  labels: optional(stringMap),
  annotations: optional(annotations),
  uid: optional(text),
  resourceVersion: optional(text),
  deletionTimestamp: optional(text),
};

/** Metadata of a namespaced object. */
export function namespacedMetadata(name: z.ZodType<string> = dnsSubdomain) {
  const schema = object({ name, namespace: defaulted(dnsLabel, "default"), ...metadataFields });
  return schema as z.ZodType<Metadata & { readonly namespace: string }>;
}

/** Metadata of pods and workloads, which know what controls them. */
export const ownedMetadata = object({
  name: dnsSubdomain,
  namespace: defaulted(dnsLabel, "default"),
  ...metadataFields,
  ownerReferences: optional(
    list(object({ kind: text, name: text, controller: optional(flag) }), 100),
  ),
}) as z.ZodType<Metadata & { readonly namespace: string }>;

/** Metadata of a cluster-scoped object. */
export const clusterMetadata = object({ name: dnsSubdomain, ...metadataFields }) as z.ZodType<
  Metadata
>;
