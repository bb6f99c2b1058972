/** Handing out the addresses of networks. @module */

import { formatAddress, formatNetwork, type Network } from "../../net/address.ts";
import { hashText } from "./hash.ts";

/** Addresses of a larger network that are used, as many as a cluster needs. */
const MAX_SIZE = { IPv4: 2 ** 20, IPv6: 2 ** 16 };

/** Addresses tried near the one that a key's hash says; then any other does. */
const MAX_PROBES = 32;

/**
 * Knows which addresses are taken. Which free one a key gets depends on the key and on what is taken
 * when it asks, not on the order of the others: most keys get the same one in every run.
 */
export class AddressPool {
  readonly #taken = new Map<string, string>();
  /** How far a network was searched from its start; addresses are never given back. */
  readonly #searched = new Map<string, number>();

  /** Takes an address, of whatever network, for an owner; returns the owner if it is taken. */
  reserve(address: string, owner: string): string | null {
    const holder = this.#taken.get(address);
    if (holder !== undefined) return holder;
    this.#taken.set(address, owner);
    return null;
  }

  /** Whether an address is free. */
  isFree(address: string): boolean {
    return !this.#taken.has(address);
  }

  /**
   * Takes a free address of a network, null when there is none. The network's own address, the
   * one after it (the gateway, by custom) and the last one (broadcast) are never given.
   */
  allocate(network: Network, owner: string): string | null {
    const hostBits = network.bytes.length * 8 - network.prefix;
    const size = Math.min(2 ** hostBits, MAX_SIZE[network.family]) - 3;
    if (size <= 0) return null;
    const name = formatNetwork(network);
    let searched = this.#searched.get(name) ?? 0;
    if (searched === size) return null;
    const start = hashText(owner) % size;
    for (let step = 0; step < Math.min(size, MAX_PROBES); step++) {
      const address = addressAt(network, 2 + (start + step) % size);
      if (this.reserve(address, owner) === null) return address;
    }
    while (searched < size) {
      const address = addressAt(network, 2 + searched++);
      this.#searched.set(name, searched);
      if (this.reserve(address, owner) === null) return address;
    }
    return null;
  }
}

/** The address at an offset from a network's own, below 2³². */
function addressAt(network: Network, offset: number): string {
  const bytes = network.bytes.slice();
  for (let i = bytes.length - 1, carry = offset; carry > 0 && i >= 0; i--) {
    const sum = bytes[i] + carry % 256;
    bytes[i] = sum & 0xff;
    carry = Math.floor(carry / 256) + (sum >> 8);
  }
  return formatAddress(bytes);
}
