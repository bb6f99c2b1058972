/**
 * Single words as values: addresses, networks, numbers, ranges, names.
 *
 * @module
 */

import { addressBytes, formatAddress, parseAddress } from "../../../net/address.ts";
import type { Value } from "./ast.ts";
import { isLink, isProtocol, protocolName, usualProtocolName } from "./types.ts";

const NUMBER = /^(?:\d+|0x[0-9a-f]+)$/i;
const ETHERNET = /^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/i;
const QUAD = /^\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}$/;
const IPV4_NETWORK = /^\d{1,3}(?:\.\d{1,3}){3}\/\d{1,2}$/;
const IPV6_NETWORK = /^[0-9a-f:.]*:[0-9a-f:.]*\/\d{1,3}$/i;
const IPV6 = /^[0-9a-f]*:[0-9a-f:.]*$/i;

/** What a word means where a value of a type is expected; null when it can be none. */
export function wordValue(word: string, type: string): Value | null {
  if (word === "*") return { kind: "wildcard" };
  if (word === "exists" || word === "missing") return { kind: "symbol", name: word };
  if (isLink(type)) return linkValue(word, type);
  if (type === "classid") return classValue(word);
  const single = singleValue(word, type);
  if (single !== null) return single;
  const range = rangeValue(word, type);
  if (range !== null) return range;
  return NAME.test(word)
    ? { kind: "symbol", name: isProtocol(type) ? usualProtocolName(word) : word }
    : null;
}

/** Names, and spans of time. */
const NAME = /^[a-z_][\w.+-]*$|^\d+(?:[a-z]+\d*)+$/i;

/** Links and their groups have names, those that are gone numbers. */
function linkValue(word: string, type: string): Value {
  return type !== "ifname" && NUMBER.test(word)
    ? { kind: "number", value: Number(word) }
    : { kind: "string", text: word };
}

/** A class of traffic, `1:2`, or a name for none or the first one. */
function classValue(word: string): Value | null {
  return /^[0-9a-f]*:[0-9a-f]*$|^[a-z]+$/i.test(word) ? { kind: "symbol", name: word } : null;
}

/** An address, network or number; null when the word is something else. */
export function singleValue(word: string, type: string): Value | null {
  const first = word.charCodeAt(0);
  const digit = first >= 0x30 && first <= 0x39;
  if (digit && NUMBER.test(word)) return numberValue(Number(word), type);
  if (digit && QUAD.test(word)) return addressValue(word);
  if (word.includes(":")) {
    if (ETHERNET.test(word)) return { kind: "address", text: word.toLowerCase() };
    if (IPV6.test(word)) return addressValue(word);
  }
  if (word.includes("/")) {
    if (IPV4_NETWORK.test(word) || IPV6_NETWORK.test(word)) return networkValue(word);
  }
  return null;
}

function rangeValue(word: string, type: string): Value | null {
  const dash = word.indexOf("-", 1);
  if (dash < 0) return null;
  const from = singleValue(word.slice(0, dash), type);
  const to = from === null ? null : singleValue(word.slice(dash + 1), type);
  return to === null ? null : rangeOf(from!, to);
}

/** A range; one of addresses that is just a network's is that network. */
export function rangeOf(from: Value, to: Value): Value {
  if (from.kind === "address" && to.kind === "address") {
    const network = networkOf(from.text, to.text);
    if (network !== null) return network;
  }
  return { kind: "range", from, to };
}

/** The network of which these are the first and the last address; null when there is none. */
function networkOf(from: string, to: string): Value | null {
  if (ETHERNET.test(from) || ETHERNET.test(to)) return null;
  const first = addressBytes(from);
  const last = addressBytes(to);
  if (first.length !== last.length || from === to) return null;
  const width = first.length * 8;
  const bit = (bytes: Uint8Array, i: number) => bytes[i >> 3] >> (7 - (i & 7)) & 1;
  let prefix = 0;
  while (prefix < width && bit(first, prefix) === bit(last, prefix)) prefix++;
  for (let i = prefix; i < width; i++) {
    if (bit(first, i) !== 0 || bit(last, i) !== 1) return null;
  }
  return { kind: "network", address: from, prefix };
}

/** A number of a type: protocols are called by name where they have one. */
export function numberValue(value: number, type: string): Value {
  const name = isProtocol(type) ? protocolName(value) : undefined;
  return name === undefined ? { kind: "number", value } : { kind: "symbol", name };
}

function addressValue(word: string): Value | null {
  const text = canonicalAddress(word);
  return text === null ? null : { kind: "address", text };
}

/** nft writes addresses that map IPv4 into IPv6 as IPv6, and those are what rules about it mean. */
function canonicalAddress(word: string): string | null {
  if (!word.includes(":")) return parseAddress(word);
  try {
    return formatIPv6(addressBytes(word));
  } catch (error) {
    if (error instanceof TypeError) return null;
    throw error;
  }
}

function formatIPv6(bytes: Uint8Array): string {
  const text = formatAddress(bytes);
  return text.includes(":") ? text : `::ffff:${text}`;
}

function networkValue(word: string): Value | null {
  const [first, digits] = word.split("/");
  const address = addressValue(first);
  if (address?.kind !== "address") return null;
  const bytes = addressBytes(address.text);
  const width = bytes.length * 8;
  const prefix = Number(digits);
  if (prefix > width) return null;
  if (prefix === width) return address;
  for (let bit = prefix; bit < width; bit++) bytes[bit >> 3] &= ~(0x80 >> (bit & 7));
  const text = bytes.length === 4 ? formatAddress(bytes) : formatIPv6(bytes);
  return { kind: "network", address: text, prefix };
}
