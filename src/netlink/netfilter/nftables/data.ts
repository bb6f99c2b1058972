/**
 * What registers, elements and immediates hold: bytes or a verdict (NFTA_DATA_*, NFTA_VERDICT_*).
 *
 * @module
 */

import { attributes, nested, type ValuesOf } from "../../attribute.ts";
import { bytes, type Codec, i32 } from "../../codec.ts";
import { malformed } from "../../error.ts";
import { name } from "./codecs.ts";

/** Codes of verdicts: NF_DROP and so on, and below 0 NFT_CONTINUE and so on. */
const CODES = {
  drop: 0,
  accept: 1,
  stolen: 2,
  queue: 3,
  repeat: 4,
  continue: -1,
  break: -2,
  jump: -3,
  goto: -4,
  return: -5,
} as const;
const NAMES = new Map<number, keyof typeof CODES>(
  Object.entries(CODES).map(([name, code]) => [code, name as keyof typeof CODES]),
);

/** A signed number of 32 bits in network order. */
export const signed32: Codec<number> = {
  flags: 0,
  write(out, value) {
    if (value !== (value | 0)) throw new RangeError(`${value} is not a signed number of 32 bits`);
    out.u32(value >>> 0, false);
  },
  read(payload) {
    if (payload.length !== 4) {
      throw malformed(`a number of 4 bytes has ${payload.length} in a netlink message`);
    }
    return i32.read(payload.toReversed());
  },
};

/** A verdict's name; a code that has none stays a number. */
export type VerdictCode = keyof typeof CODES | number;

const verdictCode: Codec<VerdictCode> = {
  flags: 0,
  write: (out, value) => signed32.write(out, typeof value === "number" ? value : CODES[value]),
  read(payload) {
    const code = signed32.read(payload);
    return NAMES.get(code) ?? code;
  },
};

/** NFTA_VERDICT_*: `chain` of jumps. */
const VERDICT = attributes({ code: [1, verdictCode], chain: [2, name] });

/** A verdict. */
export type VerdictData = ValuesOf<typeof VERDICT>;

/** NFTA_DATA_*: one of the two. */
const DATA = attributes({ value: [1, bytes], verdict: [2, nested(VERDICT)] });

/** Bytes or a verdict. */
export type Data = ValuesOf<typeof DATA>;

/** The codec of an attribute that holds bytes or a verdict. */
export const data: Codec<Data> = nested(DATA);

/** The codec of an attribute that holds bytes only, in the nest of {@link data}. */
export const value: Codec<Uint8Array> = {
  ...nested(DATA),
  write: (out, value) => DATA.write(out, { value }),
  read(payload) {
    const { value } = DATA.read(payload);
    if (value === undefined) throw malformed("a value of nf_tables without bytes");
    return value;
  },
};
