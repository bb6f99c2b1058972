/**
 * From a link layer's frame to the IP packet in it. Numbers and layouts: tcpdump.org/linktypes.html.
 *
 * @module
 */

import type { CapturedPacket } from "./captured_packet.ts";
import { CaptureError } from "./reader.ts";

/** Where an IP packet begins in a frame, or what else the frame is, in a word or two. */
export type LinkPayload = { readonly at: number } | { readonly other: string };

const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_IPV6 = 0x86dd;
const ETHERTYPE_ARP = 0x0806;
/** Tags of 802.1Q, 802.1ad, and QinQ before it had a number. */
const VLAN_TAGS: readonly number[] = [0x8100, 0x88a8, 0x9100];
/** Tags within tags that are looked behind. */
const MAX_TAGS = 4;

/** AF_INET, and AF_INET6 of Linux, NetBSD, FreeBSD and Darwin. */
const LOOPBACK_FAMILIES: readonly number[] = [2, 10, 24, 28, 30];

type Finder = (data: Uint8Array) => LinkPayload;

const LINK_TYPES: Readonly<Record<number, Finder>> = {
  // NULL is in the byte order of the host that captured, LOOP in network order: one of both fits.
  0: loopback,
  108: loopback,
  1: (data) => behindEthertype(data, 12),
  // RAW, by the numbers that several systems have for it.
  12: raw,
  14: raw,
  101: raw,
  228: raw,
  229: raw,
  // LINUX_SLL, LINUX_SLL2.
  113: (data) => behindEthertype(data, 14),
  276: (data) => behindEthertype(data, 0, 20),
};

/** The names of the link types that are understood, for messages. */
const KNOWN = "Ethernet, raw IP, Linux cooked or loopback";

/** Throws {@link CaptureError} for a link type that is not understood. */
export function findIp({ linkType, data, offset }: CapturedPacket): LinkPayload {
  const find = LINK_TYPES[linkType];
  if (find === undefined) {
    throw new CaptureError(offset, `a packet of link type ${linkType}, expected ${KNOWN}`);
  }
  return find(data);
}

const CUT: LinkPayload = { other: "cut in the link layer's header" };

/** @param payload where the payload begins; right behind the type unless given. */
function behindEthertype(data: Uint8Array, typeAt: number, payload = typeAt + 2): LinkPayload {
  if (data.length < payload) return CUT;
  let type = data[typeAt] << 8 | data[typeAt + 1];
  let at = payload;
  for (let tags = 0; VLAN_TAGS.includes(type) && tags < MAX_TAGS; tags++) {
    // A tag is two bytes of its own, then the type of what it tags.
    if (data.length < at + 4) return CUT;
    type = data[at + 2] << 8 | data[at + 3];
    at += 4;
  }
  if (type === ETHERTYPE_IPV4 || type === ETHERTYPE_IPV6) return { at };
  if (type === ETHERTYPE_ARP) return { other: "ARP" };
  return { other: `ethertype 0x${type.toString(16).padStart(4, "0")}` };
}

function loopback(data: Uint8Array): LinkPayload {
  if (data.length < 4) return CUT;
  const view = new DataView(data.buffer, data.byteOffset, 4);
  const families = [view.getUint32(0, true), view.getUint32(0, false)];
  if (families.some((family) => LOOPBACK_FAMILIES.includes(family))) return { at: 4 };
  return { other: `address family ${Math.min(...families)}` };
}

function raw(data: Uint8Array): LinkPayload {
  if (data.length === 0) return CUT;
  const version = data[0] >> 4;
  return version === 4 || version === 6 ? { at: 0 } : { other: `IP version ${version}` };
}
