/**
 * Whether what was read from a packet is within a value.
 *
 * @module
 */

import type { Network, Range, Value } from "../../dataplane/nftables/language/ast.ts";
import { isFlagType } from "../../dataplane/nftables/language/types.ts";
import {
  addressBytes,
  familyOf,
  type Network as IpNetwork,
  networkContains,
} from "../../net/address.ts";
import { addressNumber, numberOf } from "./numbers.ts";

/** What a selector comes to: text of addresses and names, numbers, or parts of a concatenation. */
export type Known = string | number | readonly Known[];

/** Whether the value holds it; null: it cannot be said. Sets are not asked here. */
export function holds(known: Known, value: Value, types: readonly string[]): boolean | null {
  if (value.kind === "wildcard") return true;
  if (value.kind === "concat") return holdsParts(known, value.parts, types);
  if (typeof known === "object") return null;
  switch (value.kind) {
    case "address":
      return known === value.text;
    case "network":
      return typeof known === "string" && isWithin(known, value);
    case "string":
      return value.text.endsWith("*")
        ? String(known).startsWith(value.text.slice(0, -1))
        : known === value.text;
    case "range":
      return isBetween(known, value, types[0]);
    case "symbol":
    case "flags":
    case "number":
      return equals(known, value, types[0]);
    default:
      return null;
  }
}

function holdsParts(
  known: Known,
  values: readonly Value[],
  types: readonly string[],
): boolean | null {
  if (typeof known !== "object" || known.length !== values.length) return null;
  let doubt = false;
  for (let i = 0; i < values.length; i++) {
    const held = holds(known[i], values[i], [types[i] ?? "other"]);
    if (held === false) return false;
    if (held === null) doubt = true;
  }
  return doubt ? null : true;
}

function equals(known: string | number, value: Value, type = "other"): boolean | null {
  if (typeof known === "number") {
    const number = numberOf(value, type);
    return number === null ? null : known === number;
  }
  if (value.kind === "symbol") return isName(value.name) ? known === value.name : null;
  // Protocols that have names are called by them.
  return value.kind === "number" ? known === String(value.value) : null;
}

/** What is not understood is kept as a name too: by its text. */
function isName(name: string): boolean {
  return /^[\w.+-]+$/.test(name);
}

const NETWORKS = new WeakMap<Network, IpNetwork>();

function isWithin(address: string, value: Network): boolean {
  let network = NETWORKS.get(value);
  if (network === undefined) {
    const { address, prefix } = value;
    network = { family: familyOf(address), address, prefix, bytes: addressBytes(address) };
    NETWORKS.set(value, network);
  }
  return networkContains(network, address);
}

function isBetween(known: string | number, { from, to }: Range, type = "other"): boolean | null {
  if (from.kind === "address" && to.kind === "address") {
    if (typeof known !== "string" || familyOf(known) !== familyOf(from.text)) return false;
    const number = addressNumber(known);
    return number >= addressNumber(from.text) && number <= addressNumber(to.text);
  }
  const first = numberOf(from, type);
  const last = numberOf(to, type);
  if (typeof known !== "number" || first === null || last === null) return null;
  return known >= first && known <= last;
}

/** Text that is the same for values that are the same; null: the value stands for several. */
export function token(value: Value, type: string): string | null {
  switch (value.kind) {
    case "address":
      return value.text;
    case "string":
      return value.text.endsWith("*") ? null : value.text;
    case "symbol":
      if (isFlagType(type) || type === "inet_service") return numberToken(value, type);
      return isName(value.name) ? value.name : null;
    case "number":
      return String(value.value);
    case "flags":
      return numberToken(value, type);
    default:
      return null;
  }
}

function numberToken(value: Value, type: string): string | null {
  const number = numberOf(value, type);
  return number === null ? null : String(number);
}
