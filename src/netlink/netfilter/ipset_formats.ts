/**
 * ipset's messages: their numbers and attributes. Numbers of more than one byte are in network byte
 * order and must say so (NLA_F_NET_BYTEORDER). Sources: linux/netfilter/ipset/ip_set.h and the
 * kernel's net/netfilter/ipset/.
 *
 * @module
 */

import { attributes, nested, repeated } from "../attribute.ts";
import { address, be16, be32, be64, type Codec, netOrder, string, u32, u8 } from "../codec.ts";
import { malformed } from "../error.ts";
import { MessageFormat } from "../format.ts";
import { messageType, NFNETLINK_HEADER, SUBSYSTEM } from "./nfnetlink.ts";

/** IPSET_CMD_*. */
export const COMMAND = {
  protocol: messageType(SUBSYSTEM.ipset, 1),
  create: messageType(SUBSYSTEM.ipset, 2),
  destroy: messageType(SUBSYSTEM.ipset, 3),
  flush: messageType(SUBSYSTEM.ipset, 4),
  rename: messageType(SUBSYSTEM.ipset, 5),
  swap: messageType(SUBSYSTEM.ipset, 6),
  list: messageType(SUBSYSTEM.ipset, 7),
  add: messageType(SUBSYSTEM.ipset, 9),
  remove: messageType(SUBSYSTEM.ipset, 10),
  test: messageType(SUBSYSTEM.ipset, 11),
  type: messageType(SUBSYSTEM.ipset, 13),
} as const;

/** IPSET_FLAG_LIST_* in `flags` of the list command: names only, or all but the entries. */
export const LIST_NAMES = 2;
export const LIST_HEADERS = 4;

/** IPSET_FLAG_* in `flags` of a set's data. */
export const WITH_COUNTERS = 8;
export const WITH_COMMENT = 0x10;
/** IPSET_FLAG_NOMATCH in `flags` of an entry. */
export const NOMATCH = 4;

/** IPSET_ATTR_IPADDR_*. */
const IP = attributes({ four: [1, netOrder(address)], six: [2, netOrder(address)] });

/** An address in a nest that names its family. */
const nestedAddress: Codec<string> = {
  ...nested(IP),
  write: (out, value) => IP.write(out, value.includes(":") ? { six: value } : { four: value }),
  read(bytes) {
    const { four, six } = IP.read(bytes);
    const value = four ?? six;
    if (value === undefined) throw malformed("an entry of an ipset without an address");
    return value;
  },
};

/** IPSET_ATTR_* of what a set is created with, and in lists how it fares. */
const SET_DATA = attributes({
  port: [4, netOrder(be16)],
  toPort: [5, netOrder(be16)],
  timeout: [6, netOrder(be32)],
  flags: [8, netOrder(be32)],
  hashSize: [18, netOrder(be32)],
  maxElements: [19, netOrder(be32)],
  netmask: [20, u8],
  bucketSize: [21, u8],
  elements: [24, netOrder(be32)],
  references: [25, netOrder(be32)],
  memorySize: [26, netOrder(be32)],
});

/** IPSET_ATTR_* of an entry. `line` comes back as it was sent. */
export const ENTRY = attributes({
  address: [1, nestedAddress],
  prefix: [3, u8],
  port: [4, netOrder(be16)],
  toPort: [5, netOrder(be16)],
  timeout: [6, netOrder(be32)],
  protocol: [7, u8],
  flags: [8, netOrder(be32)],
  line: [9, u32],
  address2: [20, nestedAddress],
  prefix2: [21, u8],
  bytes: [24, netOrder(be64)],
  packets: [25, netOrder(be64)],
  comment: [26, string],
});

const ENTRIES = attributes({ entries: [7, repeated(nested(ENTRY))] });

const HEADER_ATTRIBUTES = {
  protocol: [1, u8],
  name: [2, string],
  type: [3, string],
  revision: [4, u8],
  family: [5, u8],
} as const;

/** A set: what creates one, and what a list of them consists of. */
export const SET = new MessageFormat(
  NFNETLINK_HEADER,
  attributes({
    ...HEADER_ATTRIBUTES,
    flags: [6, netOrder(be32)],
    data: [7, nested(SET_DATA)],
    entries: [8, nested(ENTRIES)],
    minimum: [10, u8],
  }),
);

/** A change of a set's entries, or a test of one. */
export const CHANGE = new MessageFormat(
  NFNETLINK_HEADER,
  attributes({
    ...HEADER_ATTRIBUTES,
    data: [7, nested(ENTRY)],
    entries: [8, nested(ENTRIES)],
    line: [9, u32],
  }),
);

/** A command on one set by name, or on two. */
export const NAMED = new MessageFormat(
  NFNETLINK_HEADER,
  attributes({ protocol: [1, u8], name: [2, string], second: [3, string] }),
);
