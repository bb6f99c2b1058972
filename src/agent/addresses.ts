/**
 * This machine's own addresses.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import { DUMMY_DEVICE } from "../dataplane/ipvs/state.ts";
import { messageOf } from "../errors.ts";
import { Rtnetlink } from "../netlink/route/rtnetlink.ts";
import { networkContains, parseAddress, parseNetwork } from "../net/address.ts";

/** Addresses that only mean something on one link (RFC 3927, RFC 4291) or on this machine. */
const NOT_GLOBAL = ["127.0.0.0/8", "169.254.0.0/16", "::1/128", "fe80::/10"]
  .map((text) => parseNetwork(text)!);

/** An address with the name of its interface. */
export interface InterfaceAddress {
  readonly name?: string;
  readonly address: string;
}

/**
 * Addresses of the interfaces that others can dial, canonical, in the interfaces' order. Those of
 * kube-ipvs0 are Services', whoever has put them there.
 */
export function interfaceAddresses(
  interfaces: readonly InterfaceAddress[] = Deno.networkInterfaces(),
): string[] {
  const addresses = interfaces.filter(({ name }) => name !== DUMMY_DEVICE).map(({ address }) =>
    parseAddress(address.split("%")[0])
  )
    .filter((address) => address !== null)
    .filter((address) => !NOT_GLOBAL.some((network) => networkContains(network, address)));
  return [...new Set(addresses)];
}

const logger = getLogger(["switchyard", "run"]);

/** Addresses come and go in groups: a link has one of each family. */
const GROUP_MS = 200;

/** Something that is followed until it is closed. */
export interface Following extends Disposable {
  close(): void;
}

/**
 * Tells of the interfaces' addresses whenever they are others than they were when this began.
 *
 * @param read what they are (default: those of this thread's namespace).
 */
export function followAddresses(
  changed: (addresses: readonly string[]) => void,
  read: () => readonly string[] = interfaceAddresses,
): Following {
  const events = Rtnetlink.subscribe(["addresses"]);
  let known = read();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const look = () => {
    timer = undefined;
    const addresses = read();
    if (addresses.length === known.length && addresses.every((one, i) => one === known[i])) return;
    known = addresses;
    logger.info("the node's addresses are {addresses}", { addresses: addresses.join(", ") });
    changed(addresses);
  };
  const follow = async () => {
    for await (const _ of events) timer ??= setTimeout(look, GROUP_MS);
  };
  follow().catch((error) =>
    logger.error("the node's addresses are not followed: {error}", { error: messageOf(error) })
  );
  const close = () => {
    clearTimeout(timer);
    events.close();
  };
  return { close, [Symbol.dispose]: close };
}
