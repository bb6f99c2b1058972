/**
 * What is taken from a packet: selectors, the kernel's expressions that load them into a register,
 * and the types of what is loaded.
 *
 * @module
 */

import type { DataType } from "../../../netlink/netfilter/nftables/datatypes.ts";
import type { Expression, ExpressionOf } from "../../../netlink/netfilter/nftables/expression.ts";
import { CT_KEYS, FIB_FLAGS, META_KEYS } from "../../../netlink/netfilter/nftables/names.ts";
import { HOST_ORDER, NETWORK_ORDER } from "../../../netlink/netfilter/nftables/userdata.ts";
import type { Fib, Meta, Payload, Selector } from "../language/ast.ts";
import { CompileError, integer, typeNamed } from "./values.ts";

/** Where a header's field is. */
interface Field {
  readonly protocol: string;
  readonly field: string;
  readonly base: "link" | "network" | "transport";
  /** Bytes. */
  readonly offset: number;
  readonly type: DataType;
}

const PORTS = ["th", "tcp", "udp", "udplite", "sctp", "dccp"] as const;

const FIELDS: readonly Field[] = [
  link("daddr", 0, typeNamed("ether_addr")),
  link("saddr", 6, typeNamed("ether_addr")),
  link("type", 12, typeNamed("ether_type")),
  network("ip", "length", 2, integer(2, NETWORK_ORDER)),
  network("ip", "id", 4, integer(2, NETWORK_ORDER)),
  network("ip", "frag-off", 6, integer(2, NETWORK_ORDER)),
  network("ip", "ttl", 8, integer(1, NETWORK_ORDER)),
  network("ip", "protocol", 9, typeNamed("inet_proto")),
  network("ip", "saddr", 12, typeNamed("ipv4_addr")),
  network("ip", "daddr", 16, typeNamed("ipv4_addr")),
  network("ip6", "length", 4, integer(2, NETWORK_ORDER)),
  network("ip6", "nexthdr", 6, typeNamed("inet_proto")),
  network("ip6", "hoplimit", 7, integer(1, NETWORK_ORDER)),
  network("ip6", "saddr", 8, typeNamed("ipv6_addr")),
  network("ip6", "daddr", 24, typeNamed("ipv6_addr")),
  ...PORTS.flatMap((protocol) => [
    transport(protocol, "sport", 0, typeNamed("inet_service")),
    transport(protocol, "dport", 2, typeNamed("inet_service")),
  ]),
  transport("tcp", "sequence", 4, integer(4, NETWORK_ORDER)),
  transport("tcp", "flags", 13, typeNamed("tcp_flag")),
  transport("tcp", "window", 14, integer(2, NETWORK_ORDER)),
  transport("udp", "length", 4, integer(2, NETWORK_ORDER)),
  transport("icmp", "type", 0, typeNamed("icmp_type")),
  transport("icmp", "code", 1, integer(1, NETWORK_ORDER)),
  transport("icmpv6", "type", 0, typeNamed("icmpv6_type")),
  transport("icmpv6", "code", 1, integer(1, NETWORK_ORDER)),
];

function link(field: string, offset: number, type: DataType): Field {
  return { protocol: "ether", field, base: "link", offset, type };
}

function network(protocol: string, field: string, offset: number, type: DataType): Field {
  return { protocol, field, base: "network", offset, type };
}

function transport(protocol: string, field: string, offset: number, type: DataType): Field {
  return { protocol, field, base: "transport", offset, type };
}

/** Numbers of the transports whose fields can only be looked at when it is that transport. */
export const TRANSPORTS: Readonly<Record<string, number>> = {
  icmp: 1,
  tcp: 6,
  udp: 17,
  dccp: 33,
  icmpv6: 58,
  sctp: 132,
  udplite: 136,
};

const META_TYPES: Readonly<Record<string, DataType>> = {
  mark: typeNamed("mark"),
  iif: typeNamed("iface_index"),
  oif: typeNamed("iface_index"),
  iifname: typeNamed("ifname"),
  oifname: typeNamed("ifname"),
  skuid: typeNamed("uid"),
  skgid: typeNamed("gid"),
  nfproto: typeNamed("nf_proto"),
  l4proto: typeNamed("inet_proto"),
  pkttype: typeNamed("pkt_type"),
  protocol: typeNamed("ether_type"),
  ibrname: typeNamed("ifname"),
  obrname: typeNamed("ifname"),
  iifkind: typeNamed("ifname"),
  oifkind: typeNamed("ifname"),
  iifgroup: typeNamed("devgroup"),
  oifgroup: typeNamed("devgroup"),
  iiftype: integer(2, HOST_ORDER),
  oiftype: integer(2, HOST_ORDER),
  length: integer(4, HOST_ORDER),
  priority: integer(4, HOST_ORDER),
  cgroup: integer(4, HOST_ORDER),
  rtclassid: integer(4, HOST_ORDER),
  cpu: integer(4, HOST_ORDER),
  random: integer(4, NETWORK_ORDER),
  nftrace: integer(1, HOST_ORDER),
};

const CT_TYPES: Readonly<Record<string, DataType>> = {
  state: typeNamed("ct_state"),
  direction: typeNamed("ct_dir"),
  status: typeNamed("ct_status"),
  mark: typeNamed("mark"),
  protocol: typeNamed("inet_proto"),
  "proto-src": typeNamed("inet_service"),
  "proto-dst": typeNamed("inet_service"),
  zone: integer(2, HOST_ORDER),
  l3proto: typeNamed("nf_proto"),
  expiration: integer(4, HOST_ORDER),
  event: integer(4, HOST_ORDER),
  helper: typeNamed("ifname"),
  id: integer(4, NETWORK_ORDER),
  "ip saddr": typeNamed("ipv4_addr"),
  "ip daddr": typeNamed("ipv4_addr"),
  "ip6 saddr": typeNamed("ipv6_addr"),
  "ip6 daddr": typeNamed("ipv6_addr"),
};

const NUMBER = integer(4, HOST_ORDER);

/** An expression that loads into a register. */
export type Load = ExpressionOf<"payload" | "meta" | "ct" | "fib" | "numgen">;

/** The field of a payload selector. */
export function fieldOf({ protocol, field }: Payload): Field {
  const found = FIELDS.find((one) => one.protocol === protocol && one.field === field);
  if (found === undefined) throw new CompileError(`${protocol} ${field} is not known`);
  return found;
}

/** The type of what a selector of one part loads. */
export function selectorType(selector: Selector): DataType {
  switch (selector.kind) {
    case "payload":
      return fieldOf(selector).type;
    case "meta":
      return known(META_TYPES[selector.key], `meta ${selector.key}`);
    case "ct":
      return known(CT_TYPES[selector.key], `ct ${selector.key}`);
    case "fib":
      return fibType(selector.result);
    case "numgen":
      return NUMBER;
    case "bitwise":
      return selectorType(selector.left as Selector);
    default:
      throw new CompileError(`a ${selector.kind} has no type of its own`);
  }
}

function known(type: DataType | undefined, what: string): DataType {
  if (type === undefined) throw new CompileError(`${what} is not known`);
  return type;
}

function fibType(result: Fib["result"]): DataType {
  if (result === "type") return typeNamed("fib_addrtype");
  if (result === "oifname") return typeNamed("ifname");
  // Whether there is one, in the register's four bytes.
  return result === "oif" ? typeNamed("iface_index") : { ...typeNamed("boolean"), size: 4 };
}

/** The expression that loads a selector of one part, but bitwise ones, into a register. */
export function loadOf(selector: Selector, dreg: number): Load {
  switch (selector.kind) {
    case "payload": {
      const { base, offset, type } = fieldOf(selector);
      return { kind: "payload", dreg, base, offset, length: type.size };
    }
    case "meta": {
      const key = META_KEYS.find((key) => key === selector.key);
      if (key === undefined) throw new CompileError(`meta ${selector.key} is not known`);
      return { kind: "meta", key, dreg };
    }
    case "ct": {
      const key = CT_KEYS.find((key) => key === selector.key);
      if (key === undefined) throw new CompileError(`ct ${selector.key} is not known`);
      const direction = selector.direction ?? undefined;
      return { kind: "ct", dreg, key, ...(direction === undefined ? {} : { direction }) };
    }
    case "fib": {
      const names = selector.flags as readonly (keyof typeof FIB_FLAGS)[];
      const present = selector.result === "check" ? FIB_FLAGS.present : 0;
      const flags = names.reduce((bits, name) => bits | FIB_FLAGS[name], present);
      const result = selector.result === "check" ? "oif" : selector.result;
      return { kind: "fib", dreg, result, flags };
    }
    case "numgen": {
      const { mode, modulus, offset } = selector;
      return { kind: "numgen", dreg, modulus, type: mode, offset };
    }
    default:
      throw new CompileError(`a ${selector.kind} cannot be loaded`);
  }
}

/** A selector that was loaded, and the type of what the register holds. */
export interface Loaded {
  readonly selector: Selector;
  readonly type: DataType;
  /** Bytes that were loaded: of an address also just its first ones. */
  readonly size: number;
}

/** The protocols that a packet has for certain: by which names its headers go. */
export interface Protocols {
  readonly network: "ip" | "ip6" | null;
  /** Null: `th` stands for any. */
  readonly transport: string | null;
}

/** What an expression loads; null for what is not known. */
export function loadedBy(expression: Expression, protocols: Protocols): Loaded | null {
  switch (expression.kind) {
    case "payload":
      return loadedPayload(expression, protocols);
    case "meta": {
      const type = META_TYPES[expression.key ?? ""];
      if (type === undefined) return null;
      const selector: Meta = { kind: "meta", key: String(expression.key) };
      return { selector, type, size: type.size };
    }
    case "ct": {
      const { key, direction = null } = expression;
      const type = CT_TYPES[key ?? ""];
      if (type === undefined || typeof direction === "number") return null;
      return { selector: { kind: "ct", direction, key: String(key) }, type, size: type.size };
    }
    case "fib":
      return loadedFib(expression);
    case "numgen": {
      const { type: mode, modulus = 0, offset = 0 } = expression;
      if (mode !== "random" && mode !== "inc") return null;
      return { selector: { kind: "numgen", mode, modulus, offset }, type: NUMBER, size: 4 };
    }
    default:
      return null;
  }
}

/** A header's field, or its bytes where they are none that is known. */
function loadedPayload(
  { base, offset, length = 0 }: ExpressionOf<"payload">,
  { network, transport }: Protocols,
): Loaded | null {
  if (offset === undefined || length === 0) return null;
  const protocol = base === "link" ? "ether" : base === "network" ? network : transport ?? "th";
  const field = FIELDS.find((one) =>
    one.base === base && one.offset === offset && one.protocol === protocol &&
    (one.type.size === length || isAddress(one.type) && length < one.type.size)
  );
  if (field !== undefined) {
    const { protocol, type } = field;
    return { selector: { kind: "payload", protocol, field: field.field }, type, size: length };
  }
  const short = RAW_BASES[String(base)];
  if (short === undefined || length > MOST_RAW) return null;
  return {
    selector: { kind: "raw", base: short, offset: 8 * offset, length: 8 * length },
    type: integer(length, NETWORK_ORDER),
    size: length,
  };
}

function isAddress({ name }: DataType): boolean {
  return name === "ipv4_addr" || name === "ipv6_addr";
}

/** What nft calls the headers that offsets count from. */
const RAW_BASES: Readonly<Record<string, "ll" | "nh" | "th" | "ih">> = {
  link: "ll",
  network: "nh",
  transport: "th",
  inner: "ih",
};

/** Bytes that are one number. */
const MOST_RAW = 4;

function loadedFib({ result, flags = 0 }: ExpressionOf<"fib">): Loaded | null {
  const names = Object.entries(FIB_FLAGS).filter(([name, bit]) =>
    name !== "present" && (flags & bit) !== 0
  ).map(([name]) => name);
  if (result !== "type" && result !== "oif" && result !== "oifname") return null;
  const present = (flags & FIB_FLAGS.present) !== 0;
  const type = fibType(present ? "check" : result);
  // nft calls it by what would be found.
  return { selector: { kind: "fib", flags: names, result }, type, size: type.size };
}
