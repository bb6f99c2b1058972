/**
 * What selectors read of a packet's connection.
 *
 * @module
 */

import type { ConnectionTracking } from "../../dataplane/nftables/language/ast.ts";
import { isTracked, type Packet } from "../netfilter/packet.ts";
import { isAddress } from "../netfilter/sender.ts";
import { bitOf } from "./numbers.ts";
import { ABSENT, known, PROTOCOLS, type Reading, unknown } from "./reading.ts";

/** What `ct` reads. */
export function readConnection(selector: ConnectionTracking, packet: Packet): Reading {
  const { key, direction } = selector;
  const { state, original } = packet;
  if (key === "state") return known(bitOf("ct_state", stateName(packet)));
  if (!isTracked(packet)) return ABSENT;
  if (key === "direction") return known("original");
  if (key === "zone") return known(0);
  if (key === "l3proto") return known(packet.family === "IPv4" ? "ipv4" : "ipv6");
  if (key === "protocol") return known(PROTOCOLS[packet.protocol]);
  if (state !== "NEW") return unknown("the connection's other properties are not known");
  switch (key) {
    case "mark":
      return known(packet.connectionMark);
    case "status":
      return known(statusOf(packet));
    case "helper":
      return known("");
  }
  if (direction === null) return unknown(`the connection's ${key} is not known`);
  const forth = direction === "original";
  if ((key === "ip saddr" || key === "ip daddr") && packet.family !== "IPv4") return ABSENT;
  if ((key === "ip6 saddr" || key === "ip6 daddr") && packet.family !== "IPv6") return ABSENT;
  switch (key) {
    case "saddr":
    case "ip saddr":
    case "ip6 saddr":
      return { kind: "address", address: forth ? original.source : packet.dest };
    case "daddr":
    case "ip daddr":
    case "ip6 daddr":
      return { kind: "address", address: forth ? original.dest : packet.source };
    case "proto-src":
      return forth ? { kind: "port", port: packet.sourcePort } : known(packet.destPort);
    case "proto-dst":
      return forth ? known(original.destPort) : { kind: "port", port: packet.sourcePort };
  }
  return unknown(`the connection's ${key} is not known`);
}

/** Before connection tracking has seen it a packet counts as invalid. (Kernel: nft_ct.c.) */
function stateName({ state }: Packet): string {
  return (state ?? "INVALID").toLowerCase();
}

/** Of a connection that begins. It is confirmed when its first packet leaves. */
function statusOf({ source, dest, destPort, original, fromNode, hook }: Packet): number {
  const translatesDest = dest.text !== original.dest.text || destPort !== original.destPort;
  const translatesSource = source !== original.source &&
    !original.source.ask(isAddress, source.text);
  const confirmed = fromNode && (hook === "PREROUTING" || hook === "INPUT");
  return (translatesDest ? bitOf("ct_status", "dnat") : 0) |
    (translatesSource ? bitOf("ct_status", "snat") : 0) |
    (confirmed ? bitOf("ct_status", "confirmed") : 0);
}
