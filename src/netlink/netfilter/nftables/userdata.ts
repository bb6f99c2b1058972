/**
 * What nft keeps with tables, chains, rules, sets and elements for itself and the kernel does not
 * look at (NFTA_*_USERDATA): type, length, value, of one byte each but the value. Source: libnftnl's
 * include/libnftnl/udata.h; numbers inside are in host order.
 *
 * @module
 */

import { u32 } from "../../codec.ts";

/** NFTNL_UDATA_{TABLE,CHAIN,RULE,SET_ELEM}_COMMENT. */
const COMMENT = 0;
/** NFTNL_UDATA_SET_*. */
const SET = {
  keyByteOrder: 0,
  dataByteOrder: 1,
  mergeElements: 2,
  keyTypeof: 3,
  dataTypeof: 4,
  dataInterval: 6,
  comment: 7,
} as const;

/** Bytes of a comment at most, without its final zero byte. */
const COMMENT_LIMIT = 128;

/** BYTEORDER_*: how nft orders and shows a key; concatenations and some single bytes have none. */
export type ByteOrder = 0 | 1 | 2;
export const NO_ORDER: ByteOrder = 0;
export const HOST_ORDER: ByteOrder = 1;
export const NETWORK_ORDER: ByteOrder = 2;

/** What nft keeps with a set. */
export interface SetUserData {
  readonly keyByteOrder?: number;
  readonly dataByteOrder?: number;
  /** Whether adjacent intervals are to become one (`auto-merge`). */
  readonly mergeElements?: number;
  /** The expression of `typeof`, as nft encodes it. */
  readonly keyTypeof?: Uint8Array;
  readonly dataTypeof?: Uint8Array;
  /** Whether a map's data are intervals. */
  readonly dataInterval?: number;
  readonly comment?: string;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The values by type; null for what other programs than nft keep there, in a form of theirs. */
export function readUserData(bytes: Uint8Array): Map<number, Uint8Array> | null {
  const values = new Map<number, Uint8Array>();
  for (let offset = 0; offset < bytes.length;) {
    const end = offset + 2 + (bytes[offset + 1] ?? bytes.length);
    if (end > bytes.length) return null;
    values.set(bytes[offset], bytes.subarray(offset + 2, end));
    offset = end;
  }
  return values;
}

/** The bytes of values by type, in the order given. */
function writeUserData(
  values: Iterable<readonly [type: number, value: Uint8Array]>,
): Uint8Array<ArrayBuffer> {
  const parts: number[] = [];
  for (const [type, value] of values) {
    if (value.length > 0xff) {
      throw new RangeError(`user data of ${value.length} bytes: at most 255`);
    }
    parts.push(type, value.length, ...value);
  }
  return Uint8Array.from(parts);
}

/** User data that hold a comment, or undefined without one. Throws RangeError on long ones. */
export function commentUserData(comment: string | undefined): Uint8Array<ArrayBuffer> | undefined {
  return comment === undefined ? undefined : writeUserData([[COMMENT, commentBytes(comment)]]);
}

/** The comment in user data of a table, chain, rule or element. */
export function commentOf(userData: Uint8Array | undefined): string | undefined {
  return userData && text(readUserData(userData)?.get(COMMENT));
}

/** User data of a set. */
export function setUserData(values: SetUserData): Uint8Array<ArrayBuffer> | undefined {
  const parts: [number, Uint8Array][] = [];
  const number = (type: number, value: number | undefined) => {
    if (value !== undefined) parts.push([type, Uint8Array.of(value, 0, 0, 0)]);
  };
  const bytes = (type: number, value: Uint8Array | undefined) => {
    if (value !== undefined) parts.push([type, value]);
  };
  number(SET.keyByteOrder, values.keyByteOrder);
  number(SET.dataByteOrder, values.dataByteOrder);
  bytes(SET.keyTypeof, values.keyTypeof);
  bytes(SET.dataTypeof, values.dataTypeof);
  number(SET.mergeElements, values.mergeElements);
  number(SET.dataInterval, values.dataInterval);
  if (values.comment !== undefined) parts.push([SET.comment, commentBytes(values.comment)]);
  return parts.length === 0 ? undefined : writeUserData(parts);
}

/** What user data of a set say; values of an unexpected length are left out. */
export function readSetUserData(userData: Uint8Array | undefined): SetUserData {
  const values = userData === undefined ? null : readUserData(userData);
  if (values === null) return {};
  const read: { -readonly [K in keyof SetUserData]: SetUserData[K] } = {};
  for (const key of ["keyByteOrder", "dataByteOrder", "mergeElements", "dataInterval"] as const) {
    const value = values.get(SET[key]);
    if (value?.length === 4) read[key] = u32.read(value);
  }
  for (const key of ["keyTypeof", "dataTypeof"] as const) {
    const value = values.get(SET[key]);
    if (value !== undefined) read[key] = value.slice();
  }
  const comment = text(values.get(SET.comment));
  if (comment !== undefined) read.comment = comment;
  return read;
}

function commentBytes(comment: string): Uint8Array {
  const bytes = encoder.encode(`${comment}\0`);
  if (bytes.length > COMMENT_LIMIT + 1 || comment.includes("\0")) {
    throw new RangeError(
      `a comment of nftables has at most ${COMMENT_LIMIT} bytes and no zero byte: ` +
        JSON.stringify(comment),
    );
  }
  return bytes;
}

function text(value: Uint8Array | undefined): string | undefined {
  if (value === undefined) return undefined;
  const end = value.indexOf(0);
  return decoder.decode(end < 0 ? value : value.subarray(0, end));
}
