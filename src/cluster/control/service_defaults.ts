/**
 * What the API server does to a Service before it stores it: refuse fields that contradict each
 * other, and fill in defaults (kubernetes pkg/apis/core/validation and v1/defaults.go, and
 * pkg/registry/core/service/storage/alloc.go for the IP families).
 *
 * @module
 */

import { FAMILIES, type Family, familyOf } from "../../net/address.ts";
import type { Service, ServicePortSpec } from "../objects.ts";

/** Default of sessionAffinityConfig.clientIP.timeoutSeconds: three hours. */
export const DEFAULT_AFFINITY_SECONDS = 10800;

/** A field that contradicts another one. */
export interface Refusal {
  readonly field: string;
  readonly message: string;
}

/** Whether a Service is headless: its clients get the endpoints' own addresses. */
export function isHeadless(service: Service): boolean {
  const { clusterIP, clusterIPs } = service.spec;
  return (clusterIPs?.[0] ?? clusterIP) === "None";
}

/** The first contradiction within a Service, or null. */
export function refusalOf(service: Service): Refusal | null {
  const { spec } = service;
  if (spec.type === "ExternalName") {
    return spec.externalName === undefined
      ? { field: "spec.externalName", message: "missing, expected a DNS name" }
      : null;
  }
  if (spec.ports.length === 0 && !isHeadless(service)) {
    return { field: "spec.ports", message: "expected at least one port" };
  }
  if (isHeadless(service) && spec.type !== "ClusterIP") {
    const message = `expected an IP address for type ${spec.type}, found "None"`;
    return { field: "spec.clusterIP", message };
  }
  return portRefusal(service) ?? addressRefusal(spec);
}

function portRefusal({ spec }: Service): Refusal | null {
  const names = new Set<string>();
  const numbers = new Set<string>();
  for (const [index, port] of spec.ports.entries()) {
    const field = `spec.ports[${index}]`;
    if (port.name === undefined && spec.ports.length > 1) {
      const message = "missing, expected a name since there are several ports";
      return { field: `${field}.name`, message };
    }
    const name = port.name ?? "";
    if (names.has(name)) {
      return { field: `${field}.name`, message: `"${name}" is the name of another port` };
    }
    names.add(name);
    const number = `${port.port}/${port.protocol}`;
    if (numbers.has(number)) {
      return { field: `${field}.port`, message: `${number} is the number of another port` };
    }
    numbers.add(number);
    if (port.nodePort !== undefined && spec.type === "ClusterIP") {
      const message = `expected none for type ClusterIP, found ${port.nodePort}`;
      return { field: `${field}.nodePort`, message };
    }
  }
  return null;
}

function addressRefusal(spec: Service["spec"]): Refusal | null {
  const { clusterIP, clusterIPs, ipFamilies, ipFamilyPolicy } = spec;
  if (clusterIP !== undefined && clusterIPs !== undefined && clusterIPs[0] !== clusterIP) {
    const message = `expected ${clusterIP} as in spec.clusterIP, found ${clusterIPs[0] ?? "none"}`;
    return { field: "spec.clusterIPs[0]", message };
  }
  if (ipFamilies?.length === 2 && ipFamilies[0] === ipFamilies[1]) {
    return { field: "spec.ipFamilies[1]", message: "expected the other family than the first" };
  }
  const addresses = addressesOf(spec);
  if (addresses.length === 2 && familyOf(addresses[0]) === familyOf(addresses[1])) {
    const message = `expected the other family than ${addresses[0]}, found ${addresses[1]}`;
    return { field: "spec.clusterIPs[1]", message };
  }
  for (const [index, address] of addresses.entries()) {
    const family = ipFamilies?.at(index);
    if (family !== undefined && family !== familyOf(address)) {
      const message = `expected an ${family} address as in spec.ipFamilies, found ${address}`;
      return { field: clusterIPs ? `spec.clusterIPs[${index}]` : "spec.clusterIP", message };
    }
  }
  const several = addresses.length === 2
    ? "clusterIPs"
    : ipFamilies?.length === 2
    ? "ipFamilies"
    : null;
  if (several !== null && (ipFamilyPolicy ?? "SingleStack") === "SingleStack") {
    const message = `expected PreferDualStack or RequireDualStack with two ${several}`;
    return { field: "spec.ipFamilyPolicy", message };
  }
  return null;
}

/** The cluster IPs that a Service asks for. */
export function addressesOf(spec: Service["spec"]): readonly string[] {
  const given = spec.clusterIPs ?? (spec.clusterIP === undefined ? [] : [spec.clusterIP]);
  return given.filter((address) => address !== undefined && address !== "None");
}

/**
 * A Service with the API server's defaults; addresses and node ports are still to be allocated.
 *
 * @param available the families of the cluster's Service networks, the primary one first.
 * @returns the Service, or why the cluster cannot have it.
 */
export function withDefaults(service: Service, available: readonly Family[]): Service | Refusal {
  const { spec } = service;
  if (spec.type === "ExternalName") {
    return { ...service, spec: { ...spec, sessionAffinity: spec.sessionAffinity ?? "None" } };
  }
  const families = familiesOf(service, available);
  if ("message" in families) return families;
  const external = spec.type !== "ClusterIP" || (spec.externalIPs ?? []).length > 0;
  return {
    ...service,
    spec: {
      ...spec,
      ...families,
      ports: spec.ports.map((port): ServicePortSpec => ({
        ...port,
        targetPort: port.targetPort ?? port.port,
      })),
      sessionAffinity: spec.sessionAffinity ?? "None",
      ...(spec.sessionAffinity === "ClientIP" && {
        sessionAffinityConfig: {
          clientIP: {
            timeoutSeconds: spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ??
              DEFAULT_AFFINITY_SECONDS,
          },
        },
      }),
      internalTrafficPolicy: spec.internalTrafficPolicy ?? "Cluster",
      ...(external && { externalTrafficPolicy: spec.externalTrafficPolicy ?? "Cluster" }),
    },
  };
}

function familiesOf(
  service: Service,
  available: readonly Family[],
): Required<Pick<Service["spec"], "ipFamilies" | "ipFamilyPolicy">> | Refusal {
  const { spec } = service;
  const asked = spec.ipFamilies ?? addressesOf(spec).map(familyOf);
  if (isHeadless(service) && spec.selector === undefined && spec.ipFamilies === undefined) {
    // Such a Service may have endpoints of either family, whatever the cluster's networks.
    const ipFamilies = [available[0], ...FAMILIES.filter((family) => family !== available[0])];
    return { ipFamilyPolicy: spec.ipFamilyPolicy ?? "RequireDualStack", ipFamilies };
  }
  const ipFamilyPolicy = spec.ipFamilyPolicy ?? "SingleStack";
  const explicit = addressesOf(spec).map(familyOf);
  const lacking = asked.find((family) => !available.includes(family) && !explicit.includes(family));
  if (lacking !== undefined) {
    const message = `${lacking} needs a Service network of that family, and there is none`;
    return { field: "spec.ipFamilies", message };
  }
  const first = asked.at(0) ?? available[0];
  if (ipFamilyPolicy === "SingleStack") return { ipFamilyPolicy, ipFamilies: [first] };
  const second = asked.at(1) ?? available.find((family) => family !== first);
  if (second !== undefined) return { ipFamilyPolicy, ipFamilies: [first, second] };
  if (ipFamilyPolicy === "PreferDualStack") return { ipFamilyPolicy, ipFamilies: [first] };
  const message = "RequireDualStack needs Service networks of both families";
  return { field: "spec.ipFamilyPolicy", message };
}
