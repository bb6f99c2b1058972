/**
 * What selectors read from a packet, its connection and the node. What a flow does not say is not
 * guessed.
 *
 * @module
 */

import type {
  Bitwise,
  Expression,
  Fib,
  Meta,
  Payload,
  RawPayload,
  Selector,
} from "../../dataplane/nftables/language/ast.ts";
import { selectorText } from "../../dataplane/nftables/language/print.ts";
import { typesOf } from "../../dataplane/nftables/language/types.ts";
import { type Family, familyOf } from "../../net/address.ts";
import { addressType } from "../iptables/matches/addrtype.ts";
import { type Link, LOOPBACK, type Packet, unknownLink } from "../netfilter/packet.ts";
import { knowsNode, linkTo, type World } from "../netfilter/world.ts";
import type { Known } from "./compare.ts";
import { readConnection } from "./connection.ts";
import { ABSENT, known, PROTOCOLS, type Reading, unknown } from "./reading.ts";
import { addressNumber, bitOf, numberAddress, numberOf } from "./numbers.ts";

/** What a selector reads, maps aside. */
export function read(selector: Selector, packet: Packet, world: World): Reading {
  switch (selector.kind) {
    case "payload":
      return readPayload(selector, packet, world);
    case "raw":
      return readRaw(selector, packet);
    case "meta":
      return readMeta(selector, packet);
    case "ct":
      return readConnection(selector, packet);
    case "fib":
      return readFib(selector, packet, world);
    case "numgen":
      return {
        kind: "chance",
        first: selector.offset,
        count: selector.modulus,
        note: selector.mode === "inc" ? "which one is the next is not known" : null,
      };
    case "hash":
      return {
        kind: "chance",
        first: selector.offset,
        count: selector.modulus,
        note: "what the hash comes to is taken as chance",
      };
    case "bitwise":
      return readBitwise(selector, packet, world);
    case "concat":
      return readParts(selector.parts, packet, world);
    case "other":
      return readOther(selector.text, packet.family);
    case "map":
      return unknown(`${selectorText(selector)} is not known`);
  }
}

/** Routing headers, extension headers and options of IP are what flows' packets do not have. */
function readOther(text: string, family: Family): Reading {
  if (/^rt (?:type|nexthdr|hdrlength|seg-left)$/.test(text)) return ABSENT;
  const [, kind, field] = /^(exthdr|ip option) [\w-]+( .+)?$/.exec(text) ?? [];
  if (kind === undefined) return unknown(`${text} is not known`);
  const isOfFamily = (kind === "exthdr") === (family === "IPv6");
  return isOfFamily && field === undefined ? known("missing") : ABSENT;
}

/** A reading as one value: what is asked of the sender is then exactly it. */
export function settle(reading: Reading): Reading {
  switch (reading.kind) {
    case "address":
      return known(reading.address.text);
    case "port":
      return reading.port.number === null
        ? unknown("the flow's source port is not given")
        : known(reading.port.number);
    case "not":
      return unknown(reading.reason);
    default:
      return reading;
  }
}

function readParts(parts: readonly Selector[], packet: Packet, world: World): Reading {
  const values: Known[] = [];
  let doubt: Reading | null = null;
  for (const part of parts) {
    const reading = settle(read(part, packet, world));
    if (reading.kind === "absent") return reading;
    if (reading.kind === "known") values.push(reading.value);
    else doubt ??= reading.kind === "unknown" ? reading : unknown("chance is part of a key");
  }
  return doubt ?? known(values);
}

/** Headers that packets of flows do not have. */
const FOREIGN = new Set([
  ...["vlan", "arp", "icmp", "icmpv6", "igmp", "udplite", "dccp", "ah", "esp", "comp"],
  ...["frag", "hbh", "dst", "mh", "srh"],
]);

function readPayload({ protocol, field }: Payload, packet: Packet, world: World): Reading {
  const { family, destPort, dest, sourcePort } = packet;
  switch (protocol) {
    case "ip":
    case "ip6": {
      if ((family === "IPv4") !== (protocol === "ip")) return ABSENT;
      if (field === "saddr") return readSource(packet, world);
      if (field === "daddr") return { kind: "address", address: dest };
      if (field === "protocol" || field === "nexthdr") return known(PROTOCOLS[packet.protocol]);
      if (field === "version") return known(family === "IPv4" ? 4 : 6);
      break;
    }
    case "tcp":
    case "udp":
    case "sctp":
    case "th": {
      if (protocol !== "th" && protocol !== PROTOCOLS[packet.protocol]) return ABSENT;
      if (field === "dport") return known(destPort);
      if (field === "sport") return { kind: "port", port: sourcePort };
      if (protocol === "tcp" && field === "flags") return readFlags(packet);
      break;
    }
    case "ether":
      if (field === "type") return known(family === "IPv4" ? "ip" : "ip6");
      break;
    default:
      if (FOREIGN.has(protocol)) return ABSENT;
  }
  return unknown(`the packet's ${protocol} ${field} is not known`);
}

/** Which of its addresses a node takes for masquerading depends on the link that packets leave by. */
function readSource({ source, masqueraded, family }: Packet, { nodeAddresses }: World): Reading {
  const own = nodeAddresses.filter((address) => familyOf(address) === family);
  return masqueraded && own.length > 1 && own.includes(source.text)
    ? unknown("which of the node's addresses is the source is not known")
    : { kind: "address", address: source };
}

/** The first packet of a TCP connection has SYN alone. */
function readFlags({ state }: Packet): Reading {
  return state === "ESTABLISHED" || state === "RELATED" || state === "INVALID"
    ? unknown("the packet's TCP flags are not known")
    : known(bitOf("tcp_flag", "syn"));
}

function readRaw(selector: RawPayload, { destPort, sourcePort }: Packet): Reading {
  const { base, offset, length } = selector;
  if (base === "th" && length === 16) {
    if (offset === 0) return { kind: "port", port: sourcePort };
    if (offset === 16) return known(destPort);
  }
  return unknown(`the packet's ${selectorText(selector)} is not known`);
}

/** Keys of `meta` that only packets of the node's own processes have. */
const OF_PROCESSES = new Set(["skuid", "skgid", "cgroup", "rtclassid"]);

function readMeta({ key }: Meta, packet: Packet): Reading {
  switch (key) {
    case "mark":
      return known(packet.mark);
    case "l4proto":
      return known(PROTOCOLS[packet.protocol]);
    case "nfproto":
      return known(packet.family === "IPv4" ? "ipv4" : "ipv6");
    case "protocol":
      return known(packet.family === "IPv4" ? "ip" : "ip6");
    case "iif":
    case "iifname":
      return readLink(packet.in, "input");
    case "oif":
    case "oifname":
      return readLink(packet.out, "output");
    case "nftrace":
      return known(0);
    case "random":
      return { kind: "chance", first: 0, count: 2 ** 32, note: null };
    case "pkttype":
      return packet.fromNode ? unknown("the packet's type is not known") : known("host");
    case "ibrname":
    case "obrname":
      return ABSENT;
  }
  if (OF_PROCESSES.has(key)) {
    return packet.fromNode ? unknown("which process sends is not known") : ABSENT;
  }
  return unknown(`the packet's meta ${key} is not known`);
}

/** A link that is not there has the empty name. (Kernel: nft_meta.c, nft_meta_store_ifname.) */
function readLink(link: Link, which: "input" | "output"): Reading {
  if (link === "none") return known("");
  if (link !== "unknown") return known(link.name);
  return { kind: "not", value: "lo", reason: unknownLink(which) };
}

function readFib({ flags, result }: Fib, packet: Packet, world: World): Reading {
  const ofSource = flags.includes("saddr");
  const address = ofSource ? packet.source : packet.dest;
  const limited = flags.includes("iif") || flags.includes("oif");
  if (result === "type") {
    const type = address.ask(addressType, world);
    if (type === "LOCAL" && limited) {
      return unknown(`which link has the address ${address.text} is not known`);
    }
    if (type === "UNICAST" && !knowsNode(world, packet.family)) {
      return unknown("the node's own addresses are not given");
    }
    return known(type.toLowerCase());
  }
  // Who sends is taken to be where the node's routes lead.
  if (ofSource && limited) return known("exists");
  return unknown("where the node's routes lead is not known");
}

/** The link that {@link readFib} finds, where a rule asks which one it is. */
export function readRoute({ flags }: Fib, packet: Packet, world: World): Reading {
  const limited = flags.includes("iif") || flags.includes("oif");
  if (flags.includes("saddr")) {
    if (limited) return readLink(packet.in, "input");
    return readLink(linkTo(packet.source, world), "input");
  }
  const out = linkTo(packet.dest, world);
  return limited || out === LOOPBACK
    ? unknown("where the node's routes lead is not known")
    : readLink(out, "output");
}

function readBitwise(bitwise: Bitwise, packet: Packet, world: World): Reading {
  if (asksForFragment(bitwise)) return packet.family === "IPv4" ? known(0) : ABSENT;
  if (asksForVersion(bitwise)) return known(packet.family === "IPv4" ? 0x40 : 0x60);
  const [type] = typesOf(bitwise.left);
  const left = readOperand(bitwise.left, type, packet, world);
  const right = readOperand(bitwise.right, type, packet, world);
  if (left.kind === "absent" || right.kind === "absent") return ABSENT;
  if (left.kind === "chance" && right.kind === "known" && bitwise.operator === "&") {
    return maskedChance(left, right.value);
  }
  if (left.kind !== "known") return left.kind === "unknown" ? left : unknown("chance is changed");
  if (right.kind !== "known") return right.kind === "unknown" ? right : unknown("chance is used");
  const value = compute(bitwise.operator, left.value, right.value);
  return value === null ? unknown(`${selectorText(bitwise)} is not known`) : known(value);
}

/** Fragments are put together before rules see them, where connections are tracked. */
function asksForFragment({ operator, left, right }: Bitwise): boolean {
  return operator === "&" && left.kind === "payload" && left.protocol === "ip" &&
    left.field === "frag-off" && right.kind === "number" && (right.value & ~FRAGMENT) === 0;
}

/** The first half of the first byte of either IP header. */
function asksForVersion({ operator, left, right }: Bitwise): boolean {
  return operator === "&" && left.kind === "raw" && left.base === "nh" && left.offset === 0 &&
    left.length === 8 && right.kind === "number" && right.value === 0xf0;
}

/** The offset, and whether more follow. (RFC 791) */
const FRAGMENT = 0x3fff;

/** The lower bits of a random number are random. */
function maskedChance(chance: Extract<Reading, { kind: "chance" }>, mask: Known): Reading {
  const count = typeof mask === "number" ? mask + 1 : NaN;
  return chance.first === 0 && chance.count % count === 0 && Number.isInteger(Math.log2(count))
    ? { ...chance, count }
    : unknown("chance is under a mask that is not understood");
}

function readOperand(
  expression: Expression,
  type: string,
  packet: Packet,
  world: World,
): Reading {
  switch (expression.kind) {
    case "address":
      return known(expression.text);
    case "number":
    case "symbol":
    case "flags": {
      const number = numberOf(expression, type);
      return number === null ? unknown("a value is not understood") : known(number);
    }
    case "string":
    case "network":
    case "range":
    case "wildcard":
    case "reference":
    case "set":
      return unknown("a value is not understood");
    default:
      return settle(read(expression as Selector, packet, world));
  }
}

function compute(operator: Bitwise["operator"], left: Known, right: Known): Known | null {
  if (typeof left === "number" && typeof right === "number") {
    return Number(BigInt.asUintN(32, bits(operator, BigInt(left), BigInt(right))));
  }
  if (typeof left !== "string" || typeof right !== "string") return null;
  const length = left.includes(":") ? 16 : 4;
  return numberAddress(bits(operator, addressNumber(left), addressNumber(right)), length);
}

function bits(operator: Bitwise["operator"], left: bigint, right: bigint): bigint {
  switch (operator) {
    case "&":
      return left & right;
    case "|":
      return left | right;
    case "^":
      return left ^ right;
    case "<<":
      return left << right;
    case ">>":
      return left >> right;
  }
}
