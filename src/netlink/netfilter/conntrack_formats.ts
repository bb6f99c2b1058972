/**
 * ctnetlink's messages: their numbers and attributes. All numbers are in network byte order unless
 * shown otherwise. Source: linux/netfilter/nfnetlink_conntrack.h.
 *
 * @module
 */

import { attributes, nested } from "../attribute.ts";
import { address, be16, be32, be64, u32, u8 } from "../codec.ts";
import { MessageFormat } from "../format.ts";
import { messageType, NFNETLINK_HEADER, SUBSYSTEM } from "./nfnetlink.ts";

/** IPCTNL_MSG_CT_*. */
export const CT_NEW = messageType(SUBSYSTEM.conntrack, 0);
export const CT_GET = messageType(SUBSYSTEM.conntrack, 1);
export const CT_DELETE = messageType(SUBSYSTEM.conntrack, 2);
export const CT_GET_STATS = messageType(SUBSYSTEM.conntrack, 5);

/** CTA_FILTER_F_*: which parts of a tuple a dump is filtered by. */
export const FILTER_SOURCE = 1;
export const FILTER_DESTINATION = 2;
export const FILTER_PROTOCOL = 8;
export const FILTER_SOURCE_PORT = 0x10;
export const FILTER_DESTINATION_PORT = 0x20;

/** CTA_IP_*. */
const IP = attributes({
  source4: [1, address],
  destination4: [2, address],
  source6: [3, address],
  destination6: [4, address],
});

/** CTA_PROTO_*. */
const PROTOCOL = attributes({
  number: [1, u8],
  sourcePort: [2, be16],
  destinationPort: [3, be16],
  icmpId: [4, be16],
  icmpType: [5, u8],
  icmpCode: [6, u8],
  icmp6Id: [7, be16],
  icmp6Type: [8, u8],
  icmp6Code: [9, u8],
});

/** CTA_TUPLE_*. */
export const TUPLE = attributes({
  ip: [1, nested(IP)],
  protocol: [2, nested(PROTOCOL)],
  zone: [3, be16],
});

/** CTA_PROTOINFO_*. */
const PROTOCOL_STATE = attributes({
  tcp: [1, nested(attributes({ state: [1, u8] }))],
  sctp: [3, nested(attributes({ state: [1, u8] }))],
});

/** CTA_COUNTERS_*. */
const COUNTERS = attributes({ packets: [1, be64], bytes: [2, be64] });

/** CTA_TIMESTAMP_*, nanoseconds since the epoch. */
const TIMESTAMP = attributes({ start: [1, be64] });

/** CTA_FILTER_*, in host byte order. */
const FILTER = attributes({ original: [1, u32], reply: [2, u32] });

/** CTA_*: a connection, or with `filter` which ones to dump. */
export const CONNECTION = new MessageFormat(
  NFNETLINK_HEADER,
  attributes({
    original: [1, nested(TUPLE)],
    reply: [2, nested(TUPLE)],
    status: [3, be32],
    protocolState: [4, nested(PROTOCOL_STATE)],
    timeout: [7, be32],
    mark: [8, be32],
    originalCounters: [9, nested(COUNTERS)],
    replyCounters: [10, nested(COUNTERS)],
    id: [12, be32],
    zone: [18, be16],
    timestamp: [20, nested(TIMESTAMP)],
    markMask: [21, be32],
    filter: [25, nested(FILTER)],
    statusMask: [26, be32],
  }),
);

/** CTA_STATS_GLOBAL_*. */
export const STATISTICS = new MessageFormat(
  NFNETLINK_HEADER,
  attributes({ entries: [1, be32], maximum: [2, be32] }),
);
