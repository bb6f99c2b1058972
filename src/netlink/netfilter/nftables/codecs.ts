/**
 * Codecs that nf_tables needs beyond netlink's own. Its numbers are in network byte order.
 *
 * @module
 */

import { be32, type Codec } from "../../codec.ts";
import { malformed } from "../../error.ts";
import type { Writer } from "../../writer.ts";

const TWO_32 = 2 ** 32;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** An unsigned number of 64 bits in network order: handles, milliseconds, counters below 2^53. */
export const count: Codec<number> = {
  flags: 0,
  write(out, value) {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new RangeError(`${value} is not a whole number from 0 to 2^53 - 1`);
    }
    out.u32(Math.floor(value / TWO_32), false);
    out.u32(value % TWO_32, false);
  },
  read(bytes) {
    if (bytes.length !== 8) {
      throw malformed(`a number of 8 bytes has ${bytes.length} in a netlink message`);
    }
    return be32.read(bytes.subarray(0, 4)) * TWO_32 + be32.read(bytes.subarray(4));
  },
};

/** Text with a final zero byte, as `string` does, made for the many short names of rules. */
export const name: Codec<string> = {
  flags: 0,
  write(out, value) {
    for (let i = 0; i < value.length; i++) {
      const unit = value.charCodeAt(i);
      if (unit === 0) throw new TypeError(`text with a zero byte: ${JSON.stringify(value)}`);
      if (unit > 0x7f) return writeUtf8(out, value, i);
      out.u8(unit);
    }
    out.u8(0);
  },
  read(bytes) {
    let hash = 0;
    let length = 0;
    for (; length < bytes.length && bytes[length] !== 0; length++) {
      if (bytes[length] > 0x7f) return decoder.decode(bytes.subarray(0, ends(bytes)));
      hash = Math.imul(hash, 31) + bytes[length] | 0;
    }
    const place = hash & KNOWN_NAMES - 1;
    const known = names[place];
    if (known !== undefined && says(bytes, known, length)) return known;
    return names[place] = String.fromCharCode.apply(null, [...bytes.subarray(0, length)]);
  },
};

/** How many names are remembered: rules say the same few again and again. */
const KNOWN_NAMES = 4096;
const names: (string | undefined)[] = new Array(KNOWN_NAMES);

function ends(bytes: Uint8Array): number {
  const zero = bytes.indexOf(0);
  return zero < 0 ? bytes.length : zero;
}

function says(bytes: Uint8Array, text: string, length: number): boolean {
  if (text.length !== length) return false;
  for (let i = 0; i < length; i++) if (bytes[i] !== text.charCodeAt(i)) return false;
  return true;
}

function writeUtf8(out: Writer, value: string, from: number): void {
  if (value.includes("\0", from)) {
    throw new TypeError(`text with a zero byte: ${JSON.stringify(value)}`);
  }
  out.bytes(encoder.encode(value.slice(from)));
  out.u8(0);
}

/** A number that has names; one that has none stays a number. */
export function oneOf<const N extends readonly string[]>(
  codec: Codec<number>,
  names: N,
): Codec<N[number] | number> {
  const numbers = new Map<string, number>(names.map((name, number) => [name, number]));
  return {
    flags: codec.flags,
    write(out, value) {
      const number = typeof value === "number" ? value : numbers.get(value);
      if (number === undefined) throw new TypeError(`${value} is none of ${names.join(", ")}`);
      codec.write(out, number);
    },
    read(bytes) {
      const number = codec.read(bytes);
      return names[number] ?? number;
    },
  };
}
