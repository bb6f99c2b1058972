/**
 * Recorded netlink messages.
 *
 * @module
 */

import { type Message, NLMSG_DONE, parseMessages } from "../../src/netlink/message.ts";

/** The datagrams of a file of fixtures/: `#` starts a comment, a line is a datagram in hex. */
export function datagrams(name: string): Uint8Array[] {
  const text = Deno.readTextFileSync(new URL(`fixtures/${name}.hex`, import.meta.url));
  return text.split("\n").filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => Uint8Array.fromHex(line));
}

/** The messages of a recorded dump without its end. */
export function recorded(name: string): Message[] {
  return datagrams(name).flatMap((datagram) => [...parseMessages(datagram)])
    .filter((message) => message.type !== NLMSG_DONE);
}

/** Files of fixtures/. */
export const FIXTURES = [
  "acknowledgement",
  "addresses",
  "connections",
  "generic-family",
  "ipvs-info",
  "ipvs-timeouts",
  "links",
  "real-servers",
  "refused-entry",
  "refused-mtu",
  "refused-name",
  "refused-server",
  "routes",
  "rules-ipv4",
  "rules-ipv6",
  "sets",
  "virtual-servers",
] as const;
