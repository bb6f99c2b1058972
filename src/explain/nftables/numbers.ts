/**
 * Values by what the kernel compares: flags and marks are numbers, addresses big ones.
 *
 * @module
 */

import type { Value } from "../../dataplane/nftables/language/ast.ts";
import { FLAGS } from "../../dataplane/nftables/language/flags.ts";
import { addressBytes, formatAddress } from "../../net/address.ts";

/** Services that rules call by name. */
const SERVICES: Readonly<Record<string, number>> = {
  ftp: 21,
  ssh: 22,
  telnet: 23,
  smtp: 25,
  domain: 53,
  http: 80,
  ntp: 123,
  snmp: 161,
  https: 443,
};

/** The bit of a flag; 0 when it is not known. */
export function bitOf(type: string, flag: string): number {
  return FLAGS[type]?.[flag] ?? 0;
}

/** The number that a value of a type is; null when it is none, or not known. */
export function numberOf(value: Value, type: string): number | null {
  switch (value.kind) {
    case "number":
      return value.value;
    case "symbol":
      return namedNumber(value.name, type);
    case "flags": {
      let sum = 0;
      for (const name of value.names) {
        const bit = bitOf(type, name);
        if (bit === 0) return null;
        sum |= bit;
      }
      return sum;
    }
    default:
      return null;
  }
}

function namedNumber(name: string, type: string): number | null {
  const bits = FLAGS[type];
  if (bits !== undefined) return bits[name] ?? null;
  return type === "inet_service" ? SERVICES[name] ?? null : null;
}

/** An address as one number. */
export function addressNumber(text: string): bigint {
  return addressBytes(text).reduce((sum, byte) => sum << 8n | BigInt(byte), 0n);
}

/** The address of so many bytes that a number is. */
export function numberAddress(number: bigint, length: number): string {
  const bytes = new Uint8Array(length);
  for (let i = length - 1, rest = number; i >= 0; i--, rest >>= 8n) bytes[i] = Number(rest & 0xffn);
  return formatAddress(bytes);
}
