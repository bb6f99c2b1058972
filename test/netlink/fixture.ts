/**
 * Recorded netlink messages.
 *
 * @module
 */

import fc from "fast-check";
import { NetlinkError } from "../../src/netlink/error.ts";
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

/** Checks that messages like these, with any bytes changed and cut anywhere, are read or refused. */
export function checkDamaged(
  originals: readonly Message[],
  ...readers: readonly ((message: Message) => unknown)[]
): void {
  fc.assert(
    fc.property(
      fc.constantFrom(...originals),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 8 }),
      fc.nat(),
      (original, changes, cut) => {
        const { length } = original.payload;
        const payload = original.payload.slice(0, length - cut % length);
        for (const [place, value] of changes) payload[place % payload.length] = value;
        for (const read of readers) readOrRefused(() => read({ ...original, payload }));
      },
    ),
    { numRuns: 2000 },
  );
}

/** Passes on every failure but a refusal. */
export function readOrRefused(read: () => void): void {
  try {
    read();
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
  }
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
