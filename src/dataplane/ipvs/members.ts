/**
 * Entries of sets between `ipset save`'s text and the kernel's messages.
 *
 * @module
 */

import { entryText, type SetEntry } from "../../netlink/netfilter/ipset.ts";

const PROTOCOLS: Readonly<Record<string, number>> = { tcp: 6, udp: 17, sctp: 132 };

/** An entry from text such as "10.96.0.1,tcp:80,10.0.0.0/8", of whichever type. */
export function parseMember(text: string): SetEntry {
  const [first, place, second] = text.split(",");
  if (place === undefined) {
    return /^\d+$/.test(first) ? { port: Number(first) } : { address: first };
  }
  const [protocol, port] = place.split(":");
  const entry = { address: first, protocol: PROTOCOLS[protocol], port: Number(port) };
  if (second === undefined) return entry;
  const [address2, prefix] = second.split("/");
  return { ...entry, address2, ...(prefix === undefined ? {} : { prefix2: Number(prefix) }) };
}

/** The text of a listed entry; a network that is a single address has no prefix there. */
export function memberText(entry: SetEntry): string {
  const { prefix2, address2 } = entry;
  const single = address2 !== undefined && prefix2 === (address2.includes(":") ? 128 : 32);
  return entryText(single ? { ...entry, prefix2: undefined } : entry);
}
