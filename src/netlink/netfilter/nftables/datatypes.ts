/**
 * nft's data types: the numbers by which sets name the type of their keys and data
 * (NFTA_SET_KEY_TYPE), what the values measure, and their byte order. The kernel does not look at
 * the numbers. Source: nftables' include/datatype.h, seen in the sets that nft makes.
 *
 * @module
 */

import { align } from "../../writer.ts";
import { type ByteOrder, HOST_ORDER, NETWORK_ORDER, NO_ORDER } from "./userdata.ts";

/** A type of values. */
export interface DataType {
  readonly name: string;
  readonly id: number;
  /** Bytes. */
  readonly size: number;
  readonly byteOrder: ByteOrder;
}

/** NFT_DATA_VERDICT: the data type of verdict maps. */
export const VERDICT_TYPE = 0xffffff00;

/** Bits that one type takes in the number of a concatenation (TYPE_BITS). */
const BITS = 6;

const TYPES: readonly DataType[] = [
  { name: "nf_proto", id: 2, size: 1, byteOrder: NO_ORDER },
  { name: "ipv4_addr", id: 7, size: 4, byteOrder: NETWORK_ORDER },
  { name: "ipv6_addr", id: 8, size: 16, byteOrder: NETWORK_ORDER },
  { name: "ether_addr", id: 9, size: 6, byteOrder: NETWORK_ORDER },
  { name: "ether_type", id: 10, size: 2, byteOrder: NETWORK_ORDER },
  { name: "inet_proto", id: 12, size: 1, byteOrder: NO_ORDER },
  { name: "inet_service", id: 13, size: 2, byteOrder: NETWORK_ORDER },
  { name: "icmp_type", id: 14, size: 1, byteOrder: NETWORK_ORDER },
  { name: "tcp_flag", id: 15, size: 1, byteOrder: NETWORK_ORDER },
  { name: "mark", id: 19, size: 4, byteOrder: HOST_ORDER },
  { name: "iface_index", id: 20, size: 4, byteOrder: HOST_ORDER },
  { name: "uid", id: 24, size: 4, byteOrder: HOST_ORDER },
  { name: "gid", id: 25, size: 4, byteOrder: HOST_ORDER },
  { name: "ct_state", id: 26, size: 4, byteOrder: HOST_ORDER },
  { name: "ct_dir", id: 27, size: 1, byteOrder: NO_ORDER },
  { name: "ct_status", id: 28, size: 4, byteOrder: HOST_ORDER },
  { name: "icmpv6_type", id: 29, size: 1, byteOrder: NETWORK_ORDER },
  { name: "pkt_type", id: 31, size: 1, byteOrder: HOST_ORDER },
  { name: "devgroup", id: 35, size: 4, byteOrder: HOST_ORDER },
  { name: "dscp", id: 36, size: 1, byteOrder: NETWORK_ORDER },
  { name: "fib_addrtype", id: 38, size: 4, byteOrder: HOST_ORDER },
  { name: "boolean", id: 39, size: 1, byteOrder: NO_ORDER },
  { name: "ifname", id: 41, size: 16, byteOrder: HOST_ORDER },
];

const BY_NAME = new Map(TYPES.map((type) => [type.name, type]));
const BY_ID = new Map(TYPES.map((type) => [type.id, type]));

/** nft's type "integer" has a number but no size: the expression before gives it. */
export const INTEGER_TYPE = 4;

/** The type of that name, or null when it is not known here. */
export function dataType(name: string): DataType | null {
  return BY_NAME.get(name) ?? null;
}

/** How values of one or several types are laid out as a key. */
export interface KeyLayout {
  /** NFTA_SET_KEY_TYPE. */
  readonly id: number;
  /** Bytes, with each part of a concatenation padded to four. */
  readonly size: number;
  readonly byteOrder: ByteOrder;
}

/** The layout of a key of these types; of more than one it is a concatenation. */
export function keyLayout(types: readonly DataType[]): KeyLayout {
  if (types.length === 1) return types[0];
  return {
    id: types.reduce((id, type) => id * 2 ** BITS + type.id, 0),
    size: types.reduce((size, type) => size + align(type.size), 0),
    byteOrder: NO_ORDER,
  };
}

/** The types of a set's number, or null when one of them is not known here. */
export function typesOf(id: number): readonly DataType[] | null {
  const types: DataType[] = [];
  for (let rest = id; rest > 0; rest = Math.floor(rest / 2 ** BITS)) {
    const type = BY_ID.get(rest % 2 ** BITS);
    if (type === undefined) return null;
    types.unshift(type);
  }
  return types.length === 0 ? null : types;
}
