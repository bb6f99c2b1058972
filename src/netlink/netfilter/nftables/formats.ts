/**
 * nf_tables' messages: their numbers and attributes. Source: linux/netfilter/nf_tables.h and
 * nfnetlink.h.
 *
 * @module
 */

import { attributes, nested, repeated } from "../../attribute.ts";
import { be32, bytes } from "../../codec.ts";
import { MessageFormat } from "../../format.ts";
import { messageType, NFNETLINK_HEADER, SUBSYSTEM } from "../nfnetlink.ts";
import { count, name, oneOf } from "./codecs.ts";
import { data, signed32, value } from "./data.ts";
import { expressionList, statefulExpression, statefulList } from "./expression.ts";
import { OBJECT_TYPES } from "./names.ts";

/** NFNL_MSG_BATCH_*: types of messages of no subsystem; the header's `resource` names it. */
export const BATCH_BEGIN = 16;
export const BATCH_END = 17;

/** NFT_MSG_*. */
export const MESSAGE = {
  newTable: messageType(SUBSYSTEM.nftables, 0),
  getTable: messageType(SUBSYSTEM.nftables, 1),
  deleteTable: messageType(SUBSYSTEM.nftables, 2),
  newChain: messageType(SUBSYSTEM.nftables, 3),
  getChain: messageType(SUBSYSTEM.nftables, 4),
  deleteChain: messageType(SUBSYSTEM.nftables, 5),
  newRule: messageType(SUBSYSTEM.nftables, 6),
  getRule: messageType(SUBSYSTEM.nftables, 7),
  deleteRule: messageType(SUBSYSTEM.nftables, 8),
  newSet: messageType(SUBSYSTEM.nftables, 9),
  getSet: messageType(SUBSYSTEM.nftables, 10),
  deleteSet: messageType(SUBSYSTEM.nftables, 11),
  newElements: messageType(SUBSYSTEM.nftables, 12),
  getElements: messageType(SUBSYSTEM.nftables, 13),
  deleteElements: messageType(SUBSYSTEM.nftables, 14),
  getGeneration: messageType(SUBSYSTEM.nftables, 16),
  newObject: messageType(SUBSYSTEM.nftables, 18),
  getObject: messageType(SUBSYSTEM.nftables, 19),
} as const;

/** NFTPROTO_*: the families of tables. */
export const FAMILY = { inet: 1, ip: 2, arp: 3, netdev: 5, bridge: 7, ip6: 10 } as const;

/** The family of a table. */
export type TableFamily = keyof typeof FAMILY;

/** NFNL_BATCH_*. */
export const BATCH = new MessageFormat(NFNETLINK_HEADER, attributes({ generation: [1, be32] }));

/** NFTA_GEN_*. */
export const GENERATION = new MessageFormat(
  NFNETLINK_HEADER,
  attributes({ id: [1, be32], process: [2, be32], program: [3, name] }),
);

/** NFTA_TABLE_*. */
export const TABLE = new MessageFormat(
  NFNETLINK_HEADER,
  attributes({
    name: [1, name],
    flags: [2, be32],
    use: [3, be32],
    handle: [4, count],
    userData: [6, bytes],
    owner: [7, be32],
  }),
);

/** NFTA_DEVICE_*. */
const DEVICES = attributes({ names: [1, repeated(name)] });

/** NFTA_HOOK_*. */
const HOOK = attributes({
  number: [1, be32],
  priority: [2, signed32],
  device: [3, name],
  devices: [4, nested(DEVICES)],
});

/** NFTA_COUNTER_* of a base chain's policy. */
const COUNTER = attributes({ bytes: [1, count], packets: [2, count] });

/** NFTA_CHAIN_*. */
export const CHAIN = new MessageFormat(
  NFNETLINK_HEADER,
  attributes({
    table: [1, name],
    handle: [2, count],
    name: [3, name],
    hook: [4, nested(HOOK)],
    /** NF_DROP or NF_ACCEPT. */
    policy: [5, be32],
    use: [6, be32],
    type: [7, name],
    counters: [8, nested(COUNTER)],
    flags: [10, be32],
    id: [11, be32],
    userData: [12, bytes],
  }),
);

/** NFTA_RULE_*. */
export const RULE = new MessageFormat(
  NFNETLINK_HEADER,
  attributes({
    table: [1, name],
    chain: [2, name],
    handle: [3, count],
    expressions: [4, expressionList],
    position: [6, count],
    userData: [7, bytes],
    id: [9, be32],
  }),
);

/** NFTA_SET_FIELD_* and NFTA_SET_DESC_*. */
const FIELD = attributes({ size: [1, be32] });
const FIELDS = attributes({ each: [1, repeated(nested(FIELD))] });
const SET_DESCRIPTION = attributes({ size: [1, be32], fields: [2, nested(FIELDS)] });

/** NFTA_SET_*. */
export const SET = new MessageFormat(
  NFNETLINK_HEADER,
  attributes({
    table: [1, name],
    name: [2, name],
    flags: [3, be32],
    keyType: [4, be32],
    keySize: [5, be32],
    dataType: [6, be32],
    dataSize: [7, be32],
    policy: [8, be32],
    description: [9, nested(SET_DESCRIPTION)],
    id: [10, be32],
    /** Milliseconds. */
    timeout: [11, count],
    gcInterval: [12, be32],
    userData: [13, bytes],
    objectType: [15, oneOf(be32, OBJECT_TYPES)],
    handle: [16, count],
    expression: [17, statefulExpression],
    expressions: [18, statefulList],
  }),
);

/** NFTA_SET_ELEM_*. */
export const ELEMENT = attributes({
  key: [1, value],
  data: [2, data],
  flags: [3, be32],
  /** Milliseconds. */
  timeout: [4, count],
  expiration: [5, count],
  userData: [6, bytes],
  expression: [7, statefulExpression],
  object: [9, name],
  keyEnd: [10, value],
  expressions: [11, statefulList],
});

/** NFTA_LIST_*: elements. */
const ELEMENTS = attributes({ each: [1, repeated(nested(ELEMENT))] });

/** NFTA_SET_ELEM_LIST_*. */
export const ELEMENT_LIST = new MessageFormat(
  NFNETLINK_HEADER,
  attributes({
    table: [1, name],
    set: [2, name],
    elements: [3, nested(ELEMENTS)],
    setId: [4, be32],
  }),
);

/** NFTA_OBJ_*. */
export const OBJECT = new MessageFormat(
  NFNETLINK_HEADER,
  attributes({
    table: [1, name],
    name: [2, name],
    type: [3, oneOf(be32, OBJECT_TYPES)],
    data: [4, bytes],
    use: [5, be32],
    handle: [6, count],
    userData: [8, bytes],
  }),
);
