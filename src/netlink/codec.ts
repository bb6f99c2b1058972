/**
 * Codecs: how one value is written to and read from the payload of a netlink attribute or a field
 * of a fixed header. The larger ones, for structures and nests of attributes, are made of these.
 *
 * Reading checks lengths and throws NetlinkError (EBADMSG); writing checks ranges and throws
 * RangeError or TypeError, because a number cut to its low bits would program something else.
 *
 * @module
 */

import { addressBytes, formatAddress } from "../net/address.ts";
import { malformed } from "./error.ts";
import type { Writer } from "./writer.ts";

/** NLA_F_NESTED: the payload is attributes. */
export const NLA_F_NESTED = 0x8000;
/** NLA_F_NET_BYTEORDER: the payload is a number in network order. */
export const NLA_F_NET_BYTEORDER = 0x4000;

/** Writes and reads values of one type. */
export interface Codec<T> {
  /** Bits set in the type of an attribute that holds it. */
  readonly flags: number;
  write(out: Writer, value: T): void;
  /** Reads the whole of `bytes`. */
  read(bytes: Uint8Array): T;
  /** The path of names, starting with a dot, of what is at an offset of the payload. */
  locate?(bytes: Uint8Array, offset: number): string;
}

/** A codec whose payload always has the same size, so that it can be a field of a header. */
export interface FixedCodec<T> extends Codec<T> {
  /** Bytes. */
  readonly size: number;
  /** What a header field holds when no value is given. */
  readonly zero: T;
}

/** The type that a codec reads and writes. */
export type ValueOf<C> = C extends Codec<infer T> ? T : never;

function unsigned(
  size: 1 | 2 | 4,
  write: (out: Writer, value: number) => void,
  read: (bytes: Uint8Array) => number,
): FixedCodec<number> {
  const limit = 2 ** (8 * size);
  return {
    flags: 0,
    size,
    zero: 0,
    write(out, value) {
      if (!Number.isInteger(value) || value < 0 || value >= limit) {
        throw new RangeError(`${value} is not an unsigned number of ${8 * size} bits`);
      }
      write(out, value);
    },
    read(bytes) {
      expectSize(bytes, size);
      return read(bytes);
    },
  };
}

function unsigned64(littleEndian: boolean): FixedCodec<bigint> {
  return {
    flags: 0,
    size: 8,
    zero: 0n,
    write(out, value) {
      if (value < 0n || value >= 1n << 64n) {
        throw new RangeError(`${value} is not an unsigned number of 64 bits`);
      }
      out.u64(value, littleEndian);
    },
    read(bytes) {
      expectSize(bytes, 8);
      return new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, littleEndian);
    },
  };
}

function expectSize(bytes: Uint8Array, size: number): void {
  if (bytes.length !== size) {
    throw malformed(`a number of ${size} bytes has ${bytes.length} in a netlink message`);
  }
}

/** Unsigned numbers in host byte order. */
export const u8 = unsigned(1, (out, value) => out.u8(value), (b) => b[0]);
export const u16 = unsigned(2, (out, value) => out.u16(value), (b) => b[0] | b[1] << 8);
export const u32 = unsigned(
  4,
  (out, value) => out.u32(value),
  (b) => (b[0] | b[1] << 8 | b[2] << 16 | b[3] << 24) >>> 0,
);
export const u64 = unsigned64(true);

/** Unsigned numbers in network byte order. */
export const be16 = unsigned(2, (out, value) => out.u16(value, false), (b) => b[0] << 8 | b[1]);
export const be32 = unsigned(
  4,
  (out, value) => out.u32(value, false),
  (b) => (b[0] << 24 | b[1] << 16 | b[2] << 8 | b[3]) >>> 0,
);
export const be64 = unsigned64(false);

/** A signed number of 32 bits in host byte order. */
export const i32: FixedCodec<number> = {
  flags: 0,
  size: 4,
  zero: 0,
  write(out, value) {
    if (value !== (value | 0)) throw new RangeError(`${value} is not a signed number of 32 bits`);
    out.u32(value >>> 0);
  },
  read: (bytes) => u32.read(bytes) | 0,
};

/** The same payload with the bit that says that it is in network order; ipset insists on it. */
export function netOrder<T>(codec: Codec<T>): Codec<T> {
  return { ...codec, flags: codec.flags | NLA_F_NET_BYTEORDER };
}

/** Text: UTF-8 with a final zero byte; reading stops at the first zero byte or at the end. */
export const string: Codec<string> = {
  flags: 0,
  write(out, value) {
    if (value.includes("\0")) {
      throw new TypeError(`text with a zero byte: ${JSON.stringify(value)}`);
    }
    out.bytes(new TextEncoder().encode(value));
    out.u8(0);
  },
  read(bytes) {
    const end = bytes.indexOf(0);
    return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
  },
};

/** Bytes as they are; what is read is a copy. */
export const bytes: Codec<Uint8Array> = {
  flags: 0,
  write: (out, value) => out.bytes(value),
  read: (payload) => payload.slice(),
};

/** An attribute without payload, whose presence is its meaning. */
export const flag: Codec<true> = {
  flags: 0,
  write() {},
  read: () => true,
};

/** An IPv4 or IPv6 address of 4 or 16 bytes, as canonical text. */
export const address: Codec<string> = {
  flags: 0,
  write: (out, value) => out.bytes(addressBytes(value)),
  read(payload) {
    if (payload.length !== 4 && payload.length !== 16) {
      throw malformed(`an IP address has ${payload.length} bytes in a netlink message`);
    }
    return formatAddress(payload);
  },
};

/** A hardware address as "02:00:5e:10:00:01"; devices without Ethernet have other lengths. */
export const hardwareAddress: Codec<string> = {
  flags: 0,
  write(out, value) {
    if (!/^[0-9a-f]{2}(:[0-9a-f]{2})*$/i.test(value)) {
      throw new TypeError(`not a hardware address: ${JSON.stringify(value)}`);
    }
    out.bytes(Uint8Array.from(value.split(":"), (part) => parseInt(part, 16)));
  },
  read: (payload) => Array.from(payload, (b) => b.toString(16).padStart(2, "0")).join(":"),
};
