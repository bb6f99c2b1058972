/**
 * EndpointSlices reduced to what a proxy reads of them.
 *
 * @module
 */

import { type EndpointSlice, type Protocol, SERVICE_NAME_LABEL } from "../cluster/objects.ts";
import { type Family, familyOf, parseAddress } from "../net/address.ts";

/** One endpoint of a slice, at every port of that slice. */
export interface EndpointInfo {
  /** Canonical; the first of the endpoint's addresses, all others are ignored. */
  readonly address: string;
  readonly ready: boolean;
  readonly serving: boolean;
  readonly terminating: boolean;
  readonly node?: string;
  readonly zone?: string;
  /** "namespace/name". */
  readonly pod?: string;
  readonly zoneHints: readonly string[];
  readonly nodeHints: readonly string[];
}

/** A usable port of a slice; it serves the Service port of the same name and protocol. */
export interface SlicePort {
  readonly name: string;
  readonly protocol: Protocol;
  readonly port: number;
}

/** An EndpointSlice as it is tracked: equal infos need no work. */
export interface SliceInfo {
  readonly name: string;
  readonly family: Family;
  readonly ports: readonly SlicePort[];
  readonly endpoints: readonly EndpointInfo[];
}

/** Hints of an endpoint without any, shared: most have none. */
const NO_HINTS: readonly string[] = [];

/** "namespace/name" of the Service that a slice belongs to; null when its label is missing. */
export function serviceOfSlice(slice: EndpointSlice): string | null {
  const name = slice.metadata.labels?.[SERVICE_NAME_LABEL] ?? "";
  return name === "" ? null : `${slice.metadata.namespace}/${name}`;
}

/** Whether a slice has addresses of one of these families; of names it never has. */
export function isOfFamily({ addressType }: EndpointSlice, families: readonly Family[]): boolean {
  return addressType !== "FQDN" && families.includes(addressType);
}

/**
 * Reduces a slice, or returns null when it is none for these families (FQDN slices never are).
 *
 * Absent conditions mean ready, serving, and not terminating; so an endpoint that is not ready but
 * says nothing else counts as serving. An absent port name or protocol has the API's defaults; an
 * absent port means "all ports", which Services do not support.
 */
export function describeSlice(
  slice: EndpointSlice,
  families: readonly Family[],
): SliceInfo | null {
  const family = slice.addressType;
  if (family === "FQDN" || !families.includes(family)) return null;
  const ports = slice.ports.flatMap(({ name = "", protocol = "TCP" as const, port = 0 }) =>
    port === 0 ? [] : [{ name, protocol, port }]
  );
  const endpoints: EndpointInfo[] = [];
  for (const { addresses, conditions, nodeName, zone, targetRef, hints } of slice.endpoints) {
    const address = addresses.length === 0 ? null : parseAddress(addresses[0]);
    if (address === null || familyOf(address) !== family) continue;
    const pod = targetRef?.kind === "Pod" && targetRef.name !== undefined
      ? `${targetRef.namespace ?? slice.metadata.namespace}/${targetRef.name}`
      : undefined;
    endpoints.push({
      address,
      ready: conditions?.ready ?? true,
      serving: conditions?.serving ?? true,
      terminating: conditions?.terminating ?? false,
      ...(nodeName === undefined ? {} : { node: nodeName }),
      ...(zone === undefined ? {} : { zone }),
      ...(pod === undefined ? {} : { pod }),
      zoneHints: hints?.forZones?.map(({ name }) => name) ?? NO_HINTS,
      nodeHints: hints?.forNodes?.map(({ name }) => name) ?? NO_HINTS,
    });
  }
  return { name: slice.metadata.name, family, ports, endpoints };
}
