/**
 * rtnetlink's messages: their numbers, headers and attributes.
 * Sources: linux/rtnetlink.h, if_link.h, if_addr.h, fib_rules.h, veth.h.
 *
 * @module
 */

import { attributes, nested } from "../attribute.ts";
import { address, bytes, hardwareAddress, i32, string, u16, u32, u8 } from "../codec.ts";
import { embedded, MessageFormat } from "../format.ts";

export const RTM_NEWLINK = 16;
export const RTM_DELLINK = 17;
export const RTM_GETLINK = 18;
export const RTM_NEWADDR = 20;
export const RTM_DELADDR = 21;
export const RTM_GETADDR = 22;
export const RTM_NEWROUTE = 24;
export const RTM_DELROUTE = 25;
export const RTM_GETROUTE = 26;
export const RTM_NEWRULE = 32;
export const RTM_DELRULE = 33;
export const RTM_GETRULE = 34;

/** Multicast groups (RTNLGRP_*). */
export const GROUP = {
  link: 1,
  ipv4Address: 5,
  ipv4Route: 7,
  ipv4Rule: 8,
  ipv6Address: 9,
  ipv6Route: 11,
  ipv6Rule: 19,
} as const;

/** IFLA_LINKINFO; `data` depends on `kind`. */
const LINK_INFO = attributes({ kind: [1, string], data: [2, bytes] });

/** `struct ifinfomsg` and IFLA_*. */
export const LINK = new MessageFormat(
  { family: u8, padding: u8, type: u16, index: i32, flags: u32, change: u32 },
  attributes({
    address: [1, hardwareAddress],
    name: [3, string],
    mtu: [4, u32],
    link: [5, u32],
    master: [10, u32],
    txQueueLength: [13, u32],
    operState: [16, u8],
    info: [18, nested(LINK_INFO)],
    namespaceFd: [28, u32],
    extraMask: [29, u32],
    carrier: [33, u8],
  }),
);

/** The `data` of a veth's LINK_INFO (VETH_INFO_*). */
export const VETH_DATA = attributes({ peer: [1, embedded(LINK)] });

/** `struct ifaddrmsg` and IFA_*. */
export const ADDRESS = new MessageFormat(
  { family: u8, prefix: u8, flags: u8, scope: u8, index: u32 },
  attributes({
    address: [1, address],
    local: [2, address],
    label: [3, string],
    broadcast: [4, address],
    flags: [8, u32],
  }),
);

/** RTAX_*. */
const METRICS = attributes({ mtu: [2, u32] });

/** `struct rtmsg` and RTA_*. */
export const ROUTE = new MessageFormat(
  {
    family: u8,
    destinationPrefix: u8,
    sourcePrefix: u8,
    tos: u8,
    table: u8,
    protocol: u8,
    scope: u8,
    type: u8,
    flags: u32,
  },
  attributes({
    destination: [1, address],
    outputLink: [4, u32],
    gateway: [5, address],
    priority: [6, u32],
    preferredSource: [7, address],
    metrics: [8, nested(METRICS)],
    table: [15, u32],
  }),
);

/** `struct fib_rule_port_range` as one number: start in the low, end in the high 16 bits. */
const portRange = u32;

/** `struct fib_rule_hdr` and FRA_*. */
export const RULE = new MessageFormat(
  {
    family: u8,
    destinationPrefix: u8,
    sourcePrefix: u8,
    tos: u8,
    table: u8,
    reserved1: u8,
    reserved2: u8,
    action: u8,
    flags: u32,
  },
  attributes({
    destination: [1, address],
    source: [2, address],
    inputName: [3, string],
    target: [4, u32],
    priority: [6, u32],
    mark: [10, u32],
    suppressPrefixLength: [14, u32],
    table: [15, u32],
    markMask: [16, u32],
    outputName: [17, string],
    protocol: [21, u8],
    ipProtocol: [22, u8],
    sourcePorts: [23, portRange],
    destinationPorts: [24, portRange],
  }),
);
