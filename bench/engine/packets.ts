/**
 * Packets as they come to the engine, written straight into its slots: 20 bytes behind the TCP or UDP
 * header, every checksum right.
 *
 * @module
 */

import type { Protocol } from "../../src/cluster/objects.ts";
import type { Family } from "../../src/net/address.ts";

export const FIN = 1, SYN = 2, RST = 4, ACK = 16;

const VNET = 12;
const PAYLOAD = 20;

/** One end of a connection. */
export interface End {
  /** The first 32 bits of an IPv6 address, of which the 64 bits behind them are 0. */
  readonly network: number;
  /** The last 32 bits. */
  readonly host: number;
  readonly port: number;
}

/** Writes packets of one family and protocol. */
export class PacketWriter {
  readonly #v4: boolean;
  readonly #tcp: boolean;
  readonly #view: DataView;
  readonly #bytes: Uint8Array;
  readonly #template: Uint8Array;
  /** Bytes of a packet, virtio-net header included. */
  readonly length: number;

  constructor(memory: ArrayBuffer, family: Family, protocol: Protocol) {
    this.#v4 = family === "IPv4";
    this.#tcp = protocol === "TCP";
    this.#view = new DataView(memory);
    this.#bytes = new Uint8Array(memory);
    const transport = (this.#tcp ? 20 : 8) + PAYLOAD;
    this.length = VNET + (this.#v4 ? 20 : 40) + transport;
    this.#template = new Uint8Array(this.length);
    const view = new DataView(this.#template.buffer, VNET);
    if (this.#v4) {
      view.setUint32(0, 0x45000000 | (20 + transport));
      view.setUint32(4, 0x4000);
      view.setUint32(8, 0x40000000 | (this.#tcp ? 6 : 17) << 16);
    } else {
      view.setUint32(0, 0x60000000);
      view.setUint32(4, transport << 16 | (this.#tcp ? 6 : 17) << 8 | 64);
    }
    const at = this.#v4 ? 20 : 40;
    if (this.#tcp) view.setUint16(at + 12, 0x5000);
    else view.setUint16(at + 4, transport);
  }

  /** Writes a packet at an address of the memory. */
  write(at: number, source: End, dest: End, flags = 0, seq = 0, ack = 0, window = 1000): void {
    this.#bytes.set(this.#template, at);
    const view = this.#view;
    const ip = at + VNET;
    const transport = ip + (this.#v4 ? 20 : 40);
    this.#writeAddress(ip + (this.#v4 ? 12 : 8), source);
    this.#writeAddress(ip + (this.#v4 ? 16 : 24), dest);
    if (this.#v4) view.setUint16(ip + 10, ~this.#sum(ip, 20, 0) & 0xffff);
    view.setUint16(transport, source.port);
    view.setUint16(transport + 2, dest.port);
    if (this.#tcp) {
      view.setUint32(transport + 4, seq);
      view.setUint32(transport + 8, ack);
      view.setUint8(transport + 13, flags);
      view.setUint16(transport + 14, window);
    }
    const length = this.length - (transport - at);
    const addresses = this.#v4 ? this.#sum(ip + 12, 8, 0) : this.#sum(ip + 8, 32, 0);
    const total = this.#sum(transport, length, addresses + (this.#tcp ? 6 : 17) + length);
    view.setUint16(transport + (this.#tcp ? 16 : 6), ~total & 0xffff);
  }

  #writeAddress(at: number, { network, host }: End): void {
    if (this.#v4) return this.#view.setUint32(at, host);
    this.#view.setUint32(at, network);
    this.#view.setUint32(at + 12, host);
  }

  /** One's complement sum, folded. */
  #sum(at: number, length: number, from: number): number {
    let total = from;
    for (let i = 0; i < length; i += 2) total += this.#view.getUint16(at + i);
    while (total > 0xffff) total = (total & 0xffff) + (total >> 16);
    return total;
  }
}
