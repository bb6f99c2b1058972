/**
 * What every rule can ask without an extension: addresses, protocol, interfaces, fragments.
 *
 * @module
 */

import { addressBytes, parseAddress, parseNetwork } from "../../../net/address.ts";
import type { Option } from "../options.ts";
import { type Ip, type Link, type Packet, unknownLink } from "../../netfilter/packet.ts";
import { type Address, isAddress } from "../../netfilter/sender.ts";
import {
  compileEach,
  type MatchModule,
  NO,
  NotUnderstood,
  type Test,
  truth,
  unknown,
  YES,
} from "./result.ts";

/** IANA protocol numbers of what flows may be. */
export const PROTOCOL_NUMBERS = { TCP: 6, UDP: 17, SCTP: 132 } as const;

/** Names as iptables-save prints them, where it doesn't print numbers (/etc/protocols). */
const PROTOCOLS_BY_NAME: Readonly<Record<string, number>> = {
  all: 0,
  icmp: 1,
  igmp: 2,
  ipencap: 4,
  ipip: 94,
  tcp: 6,
  udp: 17,
  dccp: 33,
  ipv6: 41,
  gre: 47,
  esp: 50,
  ah: 51,
  "ipv6-icmp": 58,
  icmpv6: 58,
  ospf: 89,
  vrrp: 112,
  l2tp: 115,
  sctp: 132,
  "mobility-header": 135,
  mh: 135,
  udplite: 136,
};

/** The number of a protocol as a rule writes it; null when the name is not known. */
export function protocolNumber(text: string): number | null {
  if (/^\d+$/.test(text)) return Number(text);
  return PROTOCOLS_BY_NAME[text.toLowerCase()] ?? null;
}

export const base: MatchModule = {
  options: {
    "-s": 1,
    "--source": 1,
    "--src": 1,
    "-d": 1,
    "--destination": 1,
    "--dst": 1,
    "-p": 1,
    "--protocol": 1,
    "-i": 1,
    "--in-interface": 1,
    "-o": 1,
    "--out-interface": 1,
    "-f": 0,
    "--fragment": 0,
    "-4": 0,
    "-6": 0,
    "-c": 2,
    "--set-counters": 2,
  },
  compile: (options) => compileEach(options, COMPILERS),
};

function addresses(of: (packet: Packet) => Ip): (option: Option) => Test {
  return ({ args: [list] }) => {
    const host = hostOf(list);
    if (host !== null) return (packet) => truth(of(packet).ask(isAddress, host));
    const masks = list.split(",").map(parseMasked);
    return (packet) => truth(of(packet).ask(isWithin, masks));
  };
}

/** The only address that fits; null where there are more, or none. */
export function hostOf(list: string): string | null {
  if (!list.includes("/")) return parseAddress(list);
  const network = parseNetwork(list);
  if (network === null || network.prefix !== network.bytes.length * 8) return null;
  return network.address;
}

function isWithin({ bytes }: Address, masks: readonly Masked[]): boolean {
  return masks.some((masked) => contains(masked, bytes));
}

/** An address under a mask, which need not be a prefix. */
export interface Masked {
  readonly value: Uint8Array;
  readonly mask: Uint8Array;
}

/** "10.0.0.1", "10.0.0.0/8", "10.0.0.0/255.0.255.0"; throws {@link NotUnderstood}. */
export function parseMasked(text: string): Masked {
  const slash = text.indexOf("/");
  const [address, suffix] = slash < 0
    ? [parseAddress(text), ""]
    : [parseAddress(text.slice(0, slash)), text.slice(slash + 1)];
  if (address === null) throw new NotUnderstood(`${text} is not an address`);
  if (slash >= 0 && /[.:]/.test(suffix)) {
    const dotted = parseAddress(suffix);
    const value = addressBytes(address);
    if (dotted === null || addressBytes(dotted).length !== value.length) {
      throw new NotUnderstood(`${suffix} is not a mask`);
    }
    const mask = addressBytes(dotted);
    return { value: value.map((byte, i) => byte & mask[i]), mask };
  }
  const network = parseNetwork(text);
  if (network === null) throw new NotUnderstood(`${text} is not a network`);
  const mask = new Uint8Array(network.bytes.length);
  for (let bit = 0; bit < network.prefix; bit++) mask[bit >> 3] |= 0x80 >> (bit & 7);
  return { value: network.bytes, mask };
}

/** {@link contains} as a question. */
export function fits({ bytes }: Address, masked: Masked): boolean {
  return contains(masked, bytes);
}

/** Whether an address fits; one of the other family does not. */
function contains({ value, mask }: Masked, bytes: Uint8Array): boolean {
  if (bytes.length !== value.length) return false;
  for (let i = 0; i < bytes.length; i++) if ((bytes[i] & mask[i]) !== value[i]) return false;
  return true;
}

function protocol({ args: [text] }: Option): Test {
  const number = protocolNumber(text);
  if (number === null) throw new NotUnderstood(`protocol ${text} is not known`);
  return PROTOCOL_TESTS.get(number) ?? protocolTest(number);
}

function protocolTest(number: number): Test {
  return (packet) => truth(number === 0 || PROTOCOL_NUMBERS[packet.protocol] === number);
}

/** Of the protocols that flows may be, of which nearly all rules ask. */
const PROTOCOL_TESTS: ReadonlyMap<number, Test> = new Map(
  Object.values(PROTOCOL_NUMBERS).map((number) => [number, protocolTest(number)]),
);

/** An interface's name, or with a final + every name that begins so; none has the name "". */
function link(of: (packet: Packet) => Link): (option: Option) => Test {
  return ({ name: option, args: [pattern] }) => {
    const prefix = pattern.endsWith("+") ? pattern.slice(0, -1) : null;
    const isSo = (name: string) => prefix === null ? name === pattern : name.startsWith(prefix);
    return (packet) => {
      const on = of(packet);
      if (on === "none") return truth(isSo(""));
      if (on !== "unknown") return truth(isSo(on.name));
      if (prefix === "") return truth(true);
      if (pattern === "lo") return NO;
      const which = option.startsWith("-o") || option.startsWith("--out") ? "output" : "input";
      return unknown(unknownLink(which));
    };
  };
}

const source = addresses((packet) => packet.source);
const dest = addresses((packet) => packet.dest);
const input = link((packet) => packet.in);
const output = link((packet) => packet.out);
const nothing = () => () => YES;

const COMPILERS: Readonly<Record<string, (option: Option) => Test>> = {
  "-s": source,
  "--source": source,
  "--src": source,
  "-d": dest,
  "--destination": dest,
  "--dst": dest,
  "-p": protocol,
  "--protocol": protocol,
  "-i": input,
  "--in-interface": input,
  "-o": output,
  "--out-interface": output,
  // Only the first packet of a connection is asked about, and no fragment begins one.
  "-f": () => () => NO,
  "--fragment": () => () => NO,
  "-4": () => (packet) => truth(packet.family === "IPv4"),
  "-6": () => (packet) => truth(packet.family === "IPv6"),
  "-c": nothing,
  "--set-counters": nothing,
};
