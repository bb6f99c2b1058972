/**
 * What targets that change a packet make of it.
 *
 * @module
 */

import { familyOf, formatSocketAddress } from "../../net/address.ts";
import { type Fraction, fraction, ONE } from "../fraction.ts";
import { type NatRange, portsOf, remap } from "./nat.ts";
import { type Ip, ip, isTracked, type Packet } from "../netfilter/packet.ts";
import type { World } from "../netfilter/world.ts";
import type { Target } from "./targets.ts";

/** One of the packets that a target makes, with its share of the probability. */
export interface Change {
  readonly packet: Packet;
  readonly share: Fraction;
  /** What was done. */
  readonly action: string;
}

/** Targets after which the table is over, as after ACCEPT. */
export type Translation = Extract<
  Target,
  { kind: "dnat" | "snat" | "masquerade" | "redirect" | "netmap" | "tproxy" }
>;

/** Targets after which the next rule follows. */
export type Marking = Extract<
  Target,
  { kind: "mark" | "connmark-set" | "connmark-save" | "connmark-restore" | "notrack" }
>;

const hex = (mark: number) => `0x${mark.toString(16)}`;

/** A packet with its marks changed. */
export function applyMarking(packet: Packet, target: Marking): Change {
  const { mark, connectionMark } = packet;
  if (target.kind.startsWith("connmark") && !isTracked(packet)) {
    return { packet, share: ONE, action: "nothing: there is no connection" };
  }
  switch (target.kind) {
    case "mark": {
      const changed = ((mark & ~target.mask) ^ target.value) >>> 0;
      return {
        packet: { ...packet, mark: changed },
        share: ONE,
        action: `mark becomes ${hex(changed)}`,
      };
    }
    case "connmark-set":
    case "connmark-save": {
      const changed = target.kind === "connmark-set"
        ? ((connectionMark & ~target.mask) ^ target.value) >>> 0
        : ((connectionMark & ~target.connectionMask) ^ (mark & target.packetMask)) >>> 0;
      return {
        packet: { ...packet, connectionMark: changed },
        share: ONE,
        action: `connection mark becomes ${hex(changed)}`,
      };
    }
    case "connmark-restore": {
      const changed = ((mark & ~target.packetMask) ^ (connectionMark & target.connectionMask)) >>>
        0;
      return {
        packet: { ...packet, mark: changed },
        share: ONE,
        action: `mark becomes ${hex(changed)}, from the connection's`,
      };
    }
    case "notrack":
      return {
        packet: packet.state === null ? { ...packet, state: "UNTRACKED" } : packet,
        share: ONE,
        action: "connection tracking and NAT leave it alone",
      };
  }
}

/** The packets that a translation may make. */
export function applyTranslation(packet: Packet, target: Translation, world: World): Change[] {
  switch (target.kind) {
    case "dnat":
      return redirect(packet, target.to);
    case "redirect":
      return redirect(packet, { addresses: [ownAddress(packet, world)], ports: target.ports });
    case "snat": {
      const source = target.to.addresses === null ? packet.source : ip(target.to.addresses[0]);
      return [masquerade(packet, source, `source becomes ${listed(target.to, source)}`)];
    }
    case "masquerade": {
      const own = primary(packet, world);
      const source = own === undefined ? packet.source : ip(own);
      return [masquerade(packet, source, `source becomes ${own ?? "an address of the node"}`)];
    }
    case "netmap": {
      if (packet.hook === "POSTROUTING" || packet.hook === "INPUT") {
        const source = remap(packet.source, target.to);
        return [masquerade(packet, source, `source becomes ${source.text}`)];
      }
      return redirect(packet, { addresses: [remap(packet.dest, target.to).text], ports: null });
    }
    case "tproxy": {
      const mark = ((packet.mark & ~target.mark.mask) ^ target.mark.value) >>> 0;
      const action = `goes to the node's own socket on port ${target.port}, or nowhere without one`;
      return [{ packet: { ...packet, mark, intercepted: true }, share: ONE, action }];
    }
  }
}

function redirect(packet: Packet, { addresses, ports }: NatRange): Change[] {
  const to = addresses ?? [packet.dest.text];
  const toPorts = portsOf(ports, packet.destPort);
  const count = to.length * toPorts.length;
  const share = count === 1 ? ONE : fraction(1n, BigInt(count));
  const changes: Change[] = [];
  for (const address of to) {
    for (const port of toPorts) {
      changes.push({
        packet: { ...packet, dest: ip(address), destPort: port, redirected: true },
        share,
        action: `destination becomes ${formatSocketAddress(address, port)}`,
      });
    }
  }
  return changes;
}

function masquerade(packet: Packet, source: Ip, action: string): Change {
  return { packet: { ...packet, source, masqueraded: true }, share: ONE, action };
}

function listed({ addresses }: NatRange, source: Ip): string {
  if (addresses === null || addresses.length === 1) return source.text;
  return `one of ${addresses[0]} to ${addresses[addresses.length - 1]}`;
}

/** REDIRECT sends to loopback what the node itself sends, else to the input interface's address. */
function ownAddress(packet: Packet, world: World): string {
  const loopback = packet.family === "IPv4" ? "127.0.0.1" : "::1";
  return packet.hook === "OUTPUT" ? loopback : primary(packet, world) ?? loopback;
}

function primary(packet: Packet, world: World): string | undefined {
  return world.nodeAddresses.find((address) => familyOf(address) === packet.family);
}
