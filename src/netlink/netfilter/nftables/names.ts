/**
 * The names of nf_tables' numbers, in the order of the numbers. Source: linux/netfilter/nf_tables.h
 * and, for address types, linux/rtnetlink.h.
 *
 * @module
 */

/** NFT_META_*. */
export const META_KEYS = [
  "length",
  "protocol",
  "priority",
  "mark",
  "iif",
  "oif",
  "iifname",
  "oifname",
  "iiftype",
  "oiftype",
  "skuid",
  "skgid",
  "nftrace",
  "rtclassid",
  "secmark",
  "nfproto",
  "l4proto",
  "ibrname",
  "obrname",
  "pkttype",
  "cpu",
  "iifgroup",
  "oifgroup",
  "cgroup",
  "random",
  "ipsec",
  "iifkind",
  "oifkind",
  "ibrpvid",
  "ibrvproto",
  "time",
  "day",
  "hour",
  "sdif",
  "sdifname",
  "broute",
] as const;

/** NFT_CT_*. */
export const CT_KEYS = [
  "state",
  "direction",
  "status",
  "mark",
  "secmark",
  "expiration",
  "helper",
  "l3proto",
  "saddr",
  "daddr",
  "protocol",
  "proto-src",
  "proto-dst",
  "label",
  "packets",
  "bytes",
  "avgpkt",
  "zone",
  "event",
  "ip saddr",
  "ip daddr",
  "ip6 saddr",
  "ip6 daddr",
  "id",
] as const;

/** NFT_PAYLOAD_*: which header an offset counts from. */
export const PAYLOAD_BASES = ["link", "network", "transport", "inner"] as const;

/** NFT_CMP_*. */
export const COMPARISONS = ["eq", "neq", "lt", "lte", "gt", "gte"] as const;

/** NFT_RANGE_*. */
export const RANGE_OPERATORS = ["eq", "neq"] as const;

/** NFT_BITWISE_*; the last three are of Linux 6.13 and take two registers. */
export const BITWISE_OPERATORS = ["mask-xor", "lshift", "rshift", "and", "or", "xor"] as const;

/** NFT_BYTEORDER_*. */
export const BYTEORDERS = ["ntoh", "hton"] as const;

/** NFT_FIB_RESULT_*. */
export const FIB_RESULTS = ["unspecified", "oif", "oifname", "type"] as const;

/** NFT_NG_*. */
export const NUMGEN_TYPES = ["inc", "random"] as const;

/** NFT_HASH_*. */
export const HASH_TYPES = ["jhash", "symhash"] as const;

/** NFT_NAT_*. */
export const NAT_TYPES = ["snat", "dnat"] as const;

/** NFT_REJECT_*. */
export const REJECT_TYPES = ["icmp", "tcp reset", "icmpx"] as const;

/** NFT_DYNSET_OP_*. */
export const DYNSET_OPERATORS = ["add", "update", "delete"] as const;

/** NFT_LIMIT_*. */
export const LIMIT_TYPES = ["packets", "bytes"] as const;

/** NFT_OBJECT_*. */
export const OBJECT_TYPES = [
  "unspecified",
  "counter",
  "quota",
  "ct helper",
  "limit",
  "connlimit",
  "tunnel",
  "ct timeout",
  "secmark",
  "ct expectation",
  "synproxy",
] as const;

/** NFTA_FIB_F_*, by bit. */
export const FIB_FLAGS = { saddr: 1, daddr: 2, mark: 4, iif: 8, oif: 16, present: 32 } as const;

/** NF_NAT_RANGE_*, by bit. */
export const NAT_FLAGS = {
  mapIps: 1,
  protoSpecified: 2,
  random: 4,
  persistent: 8,
  fullyRandom: 16,
} as const;

/** NFT_SET_*, by bit. */
export const SET_FLAGS = {
  anonymous: 1,
  constant: 2,
  interval: 4,
  map: 8,
  timeout: 0x10,
  eval: 0x20,
  object: 0x40,
  concat: 0x80,
  expressions: 0x100,
} as const;

/** NFT_SET_ELEM_*, by bit. */
export const ELEMENT_FLAGS = { intervalEnd: 1, catchAll: 2 } as const;

/** NFT_TABLE_F_*, by bit. */
export const TABLE_FLAGS = { dormant: 1, owner: 2, persist: 4 } as const;

/** NFT_CHAIN_*, by bit. */
export const CHAIN_FLAGS = { base: 1, offload: 2, binding: 4 } as const;

/** NFT_LOOKUP_F_INV. */
export const LOOKUP_INVERTED = 1;
/** NFT_DYNSET_F_INV. */
export const DYNSET_INVERTED = 1;
/** NFT_LIMIT_F_INV. */
export const LIMIT_INVERTED = 1;
