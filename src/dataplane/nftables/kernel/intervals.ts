/**
 * Networks as the bytes of their first and last address.
 *
 * @module
 */

import { addressBytes } from "../../../net/address.ts";
import type { Network } from "../language/ast.ts";

/** The first and the last address of a network. */
export function networkBounds({ address, prefix }: Network): { from: Uint8Array; to: Uint8Array } {
  const from = addressBytes(address);
  const mask = prefixMask(prefix, from.length);
  return { from, to: from.map((byte, i) => byte | ~mask[i]) };
}

/** Ones for the first bits, zeros for the rest of so many bytes. */
export function prefixMask(prefix: number, size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => {
    const bits = Math.max(0, Math.min(8, prefix - 8 * i));
    return 0xff00 >> bits & 0xff;
  });
}

/** How many bits a mask begins with, or null where ones follow zeros. */
export function maskPrefix(mask: Uint8Array): number | null {
  const bits = Array.from(mask, (byte) => byte.toString(2).padStart(8, "0")).join("");
  return /^1*0*$/.test(bits) ? bits.lastIndexOf("1") + 1 : null;
}
