/**
 * The types of nft's expressions, as far as reading and writing values depends on them: how numbers
 * are written, and which words are names of numbers.
 *
 * @module
 */

import type { Expression } from "./ast.ts";

const MARK = "mark";
const PROTOCOL = "inet_proto";
const LINK_NAME = "ifname";
const OTHER = "other";

const META: Readonly<Record<string, string>> = {
  mark: MARK,
  l4proto: PROTOCOL,
  nfproto: "nf_proto",
  protocol: "ether_type",
  iif: "iface_index",
  oif: "iface_index",
  iifgroup: "devgroup",
  oifgroup: "devgroup",
  iifname: LINK_NAME,
  oifname: LINK_NAME,
  iifkind: LINK_NAME,
  oifkind: LINK_NAME,
  ibrname: LINK_NAME,
  obrname: LINK_NAME,
  sdifname: LINK_NAME,
  pkttype: "pkt_type",
  priority: "classid",
};

const CT: Readonly<Record<string, string>> = {
  mark: MARK,
  state: "ct_state",
  status: "ct_status",
  direction: "ct_dir",
  protocol: PROTOCOL,
  "proto-src": "inet_service",
  "proto-dst": "inet_service",
  "ip saddr": "ipv4_addr",
  "ip daddr": "ipv4_addr",
  "ip6 saddr": "ipv6_addr",
  "ip6 daddr": "ipv6_addr",
};

const FIELDS: Readonly<Record<string, string>> = {
  "ip saddr": "ipv4_addr",
  "ip daddr": "ipv4_addr",
  "ip protocol": PROTOCOL,
  "ip6 saddr": "ipv6_addr",
  "ip6 daddr": "ipv6_addr",
  "ip6 nexthdr": PROTOCOL,
  "ether saddr": "ether_addr",
  "ether daddr": "ether_addr",
  "ether type": "ether_type",
  "tcp flags": "tcp_flag",
  "ah nexthdr": PROTOCOL,
  "comp nexthdr": PROTOCOL,
  "frag nexthdr": PROTOCOL,
};

/** The types of an expression's parts: one, or several of a concatenation. */
export function typesOf(expression: Expression): readonly string[] {
  switch (expression.kind) {
    case "payload": {
      const { protocol, field } = expression;
      const known = FIELDS[`${protocol} ${field}`];
      if (known !== undefined) return [known];
      return [field === "sport" || field === "dport" ? "inet_service" : OTHER];
    }
    case "meta":
      return [META[expression.key] ?? OTHER];
    case "ct":
      return [CT[expression.key] ?? OTHER];
    case "fib":
      return [
        expression.result === "type"
          ? "fib_addrtype"
          : expression.result === "oifname"
          ? LINK_NAME
          : "iface_index",
      ];
    case "other":
      return [expression.text === "socket mark" ? MARK : OTHER];
    case "bitwise":
      return typesOf(expression.left);
    case "concat":
      return expression.parts.flatMap(typesOf);
    default:
      return [OTHER];
  }
}

/** Types whose values are flags, of which several may be set. */
export function isFlagType(type: string): boolean {
  return Object.hasOwn(FLAG_ORDER, type);
}

/** Flags in nft's order. */
const FLAG_ORDER: Readonly<Record<string, readonly string[]>> = {
  ct_state: ["invalid", "established", "related", "new", "untracked"],
  ct_status: ["expected", "seen-reply", "assured", "confirmed", "snat", "dnat", "dying"],
  tcp_flag: ["fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr"],
};

/** Flags, each once, in nft's order; those that are not known come last, by name. */
export function sortFlags(names: readonly string[], type: string): string[] {
  const order = FLAG_ORDER[type] ?? [];
  const place = (name: string) => {
    const index = order.indexOf(name);
    return index < 0 ? order.length : index;
  };
  const compare = (a: string, b: string) => place(a) - place(b) || (a < b ? -1 : 1);
  return [...new Set(names)].sort(compare);
}

/** IP protocols by number, as /etc/protocols names them. */
const PROTOCOLS: Readonly<Record<number, string>> = {
  0: "ip",
  1: "icmp",
  2: "igmp",
  4: "ipencap",
  6: "tcp",
  17: "udp",
  33: "dccp",
  41: "ipv6",
  46: "rsvp",
  47: "gre",
  50: "esp",
  51: "ah",
  58: "ipv6-icmp",
  88: "eigrp",
  89: "ospf",
  94: "ipip",
  103: "pim",
  108: "ipcomp",
  112: "vrrp",
  115: "l2tp",
  132: "sctp",
  136: "udplite",
};

const NUMBERS = new Map(Object.entries(PROTOCOLS).map(([number, name]) => [name, Number(number)]));

/** The name that nft writes for a protocol's number; undefined when it has none. */
export function protocolName(number: number): string | undefined {
  return PROTOCOLS[number];
}

/** The number of a protocol's name; undefined when it is not known. */
export function protocolNumber(name: string): number | undefined {
  return NUMBERS.get(name);
}

/** The one name for a protocol that has two. */
export function usualProtocolName(name: string): string {
  return name === "icmpv6" ? "ipv6-icmp" : name;
}

/** Whether numbers of a type are written with eight hexadecimal digits. */
export function isHexadecimal(type: string): boolean {
  return type === MARK;
}

/** Whether values of a type are protocols. */
export function isProtocol(type: string): boolean {
  return type === PROTOCOL;
}

/** Whether values of a type are names of links or of groups of links. */
export function isLink(type: string): boolean {
  return type === LINK_NAME || type === "iface_index" || type === "devgroup";
}
