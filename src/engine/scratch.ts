/**
 * The area through which records and addresses pass to and from the engine.
 *
 * @module
 */

import { addressBytes, formatAddress, type Network, writeIPv4 } from "../net/address.ts";
import { NetworkRecord } from "./abi.ts";

const MAPPED_PREFIX = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff);

/** A view of the scratch area. Numbers are little endian. */
export class Scratch {
  readonly view: DataView<ArrayBuffer>;
  readonly bytes: Uint8Array<ArrayBuffer>;

  constructor(buffer: ArrayBuffer, at: number, size: number) {
    this.view = new DataView(buffer, at, size);
    this.bytes = new Uint8Array(buffer, at, size);
  }

  get size(): number {
    return this.bytes.length;
  }

  clear(offset: number, length: number): void {
    this.bytes.fill(0, offset, offset + length);
  }

  /** Writes a canonical address as 16 bytes; IPv4 is mapped. */
  writeAddress(offset: number, address: string): void {
    if (writeIPv4(address, this.bytes, offset + MAPPED_PREFIX.length)) {
      this.bytes.set(MAPPED_PREFIX, offset);
    } else {
      this.#writeMapped(offset, addressBytes(address), MAPPED_PREFIX);
    }
  }

  readAddress(offset: number): string {
    // formatAddress knows mapped addresses as IPv4.
    return formatAddress(this.bytes.subarray(offset, offset + 16));
  }

  /** Writes a NetworkRecord. */
  writeNetwork(offset: number, network: Network): void {
    const mask = new Uint8Array(network.bytes.length);
    for (let bit = 0; bit < network.prefix; bit++) mask[bit >> 3] |= 0x80 >> (bit & 7);
    this.#writeMapped(offset + NetworkRecord.Base, network.bytes, MAPPED_PREFIX);
    this.#writeMapped(offset + NetworkRecord.Mask, mask, new Uint8Array(12).fill(0xff));
  }

  #writeMapped(offset: number, bytes: Uint8Array, prefix: Uint8Array): void {
    if (bytes.length === 16) {
      this.bytes.set(bytes, offset);
    } else {
      this.bytes.set(prefix, offset);
      this.bytes.set(bytes, offset + 12);
    }
  }
}
