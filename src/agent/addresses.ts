/**
 * This machine's own addresses.
 *
 * @module
 */

import { networkContains, parseAddress, parseNetwork } from "../net/address.ts";

/** Addresses that only mean something on one link (RFC 3927, RFC 4291) or on this machine. */
const NOT_GLOBAL = ["127.0.0.0/8", "169.254.0.0/16", "::1/128", "fe80::/10"]
  .map((text) => parseNetwork(text)!);

/** Addresses of the interfaces that others can dial, canonical, in the interfaces' order. */
export function interfaceAddresses(
  interfaces: readonly { readonly address: string }[] = Deno.networkInterfaces(),
): string[] {
  const addresses = interfaces.map(({ address }) => parseAddress(address.split("%")[0]))
    .filter((address) => address !== null)
    .filter((address) => !NOT_GLOBAL.some((network) => networkContains(network, address)));
  return [...new Set(addresses)];
}
