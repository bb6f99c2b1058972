/**
 * What both witnesses are asked to find out whether they agree about a Service: every frontend, from
 * everywhere that makes a difference.
 *
 * @module
 */

import type { PacketQuery } from "../../engine/handle.ts";
import { type Family, familyOf, formatAddress, parseNetwork } from "../../net/address.ts";
import { classifySource } from "../../plan/decide.ts";
import {
  type Frontend,
  type FrontendKind,
  type NodeInfo,
  type ServicePlan,
  servicePortName,
  type ServicePortPlan,
  type SourceClass,
} from "../../plan/plan.ts";

/**
 * Where a packet comes from: `backend`: the Service's own first endpoint, for hairpin; `admitted`:
 * the first of the networks that alone may use the frontend.
 */
export type Origin = "pod" | "node" | "outside" | "loopback" | "backend" | "admitted";

/** A packet to a frontend. */
export interface Question {
  readonly packet: PacketQuery;
  readonly from: Origin;
  readonly service: string;
  readonly frontend: FrontendKind;
}

/** The questions about one Service. */
export function questionsAbout({ ports }: ServicePlan, node: NodeInfo): Question[] {
  return ports.flatMap((port) =>
    port.frontends.flatMap((frontend) =>
      origins(port, frontend, node).flatMap(([from, source]) =>
        addressesOf(port, frontend, node).map((dest): Question => ({
          packet: { source, dest, port: frontend.port, protocol: port.protocol },
          from,
          service: servicePortName(port),
          frontend: frontend.kind,
        }))
      )
    )
  );
}

/** An address of each class of source in one family, as far as the node's information tells. */
export function sampleSources(
  node: NodeInfo,
  family: Family,
): Partial<Record<SourceClass, string>> {
  return {
    pod: podAddress(node, family),
    node: node.addresses.find((address) => familyOf(address) === family),
    outside: outsideAddress(node, family),
  };
}

function addressesOf(port: ServicePortPlan, frontend: Frontend, node: NodeInfo): readonly string[] {
  if (frontend.address !== null) return [frontend.address];
  return node.nodePortAddresses.filter((address) => familyOf(address) === port.family);
}

function origins(
  { family, endpoints }: ServicePortPlan,
  { sourceRanges }: Frontend,
  node: NodeInfo,
): [Origin, string][] {
  const ofFamily = (address: string) => familyOf(address) === family;
  const found: [Origin, string | undefined][] = [
    ["pod", podAddress(node, family)],
    ["node", node.addresses.find(ofFamily)],
    ["outside", outsideAddress(node, family)],
    ["loopback", family === "IPv4" ? "127.0.0.1" : "::1"],
    ["backend", endpoints.at(0)?.address],
    ["admitted", sourceRanges?.map((range) => parseNetwork(range)!.address).find(ofFamily)],
  ];
  return found.filter((origin): origin is [Origin, string] => origin[1] !== undefined);
}

/** The last address but one of the first pod network: it is the least likely to be an endpoint. */
function podAddress({ podNetworks }: NodeInfo, family: Family): string | undefined {
  const text = podNetworks.find((network) => familyOf(network) === family);
  if (text === undefined) return undefined;
  const network = parseNetwork(text)!;
  const bytes = network.bytes.slice();
  for (let bit = network.prefix; bit < bytes.length * 8 - 1; bit++) {
    bytes[bit >> 3] |= 0x80 >> (bit & 7);
  }
  return formatAddress(bytes);
}

/** Addresses for documentation (RFC 5737, RFC 3849). */
const DOCUMENTED: Readonly<Record<Family, readonly string[]>> = {
  IPv4: ["192.0.2.250", "198.51.100.250", "203.0.113.250"],
  IPv6: ["2001:db8::fffa", "2001:db8:ffff::fffa"],
};

function outsideAddress(node: NodeInfo, family: Family): string | undefined {
  return DOCUMENTED[family].find((address) => classifySource(node, address) === "outside");
}
