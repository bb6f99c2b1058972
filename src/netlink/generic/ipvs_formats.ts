/**
 * The messages of IPVS: their numbers and attributes. Source: linux/ip_vs.h.
 *
 * @module
 */

import { attributes, nested } from "../attribute.ts";
import { be16, bytes, type Codec, string, u16, u32, u64, u8 } from "../codec.ts";
import { malformed } from "../error.ts";
import { MessageFormat } from "../format.ts";
import { GENERIC_HEADER } from "./family.ts";

/** IPVS_CMD_*. */
export const COMMAND = {
  newService: 1,
  setService: 2,
  deleteService: 3,
  getService: 4,
  newDestination: 5,
  setDestination: 6,
  deleteDestination: 7,
  getDestination: 8,
  setConfig: 12,
  getConfig: 13,
  setInfo: 14,
  getInfo: 15,
  zero: 16,
  flush: 17,
} as const;

/** IP_VS_SVC_F_*. */
export const SERVICE_PERSISTENT = 1;
export const SERVICE_ONE_PACKET = 4;
export const SERVICE_SCHEDULER_1 = 8;
export const SERVICE_SCHEDULER_2 = 0x10;
export const SERVICE_SCHEDULER_3 = 0x20;

/** `struct ip_vs_flags`: what is written replaces all flags. */
const flags: Codec<number> = {
  flags: 0,
  write(out, value) {
    u32.write(out, value);
    u32.write(out, 0xffffffff);
  },
  read(payload) {
    if (payload.length !== 8) throw malformed(`the flags of IPVS have ${payload.length} bytes`);
    return u32.read(payload.subarray(0, 4));
  },
};

/** IPVS_STATS_ATTR_* of 64 bits; attribute 11 is padding. */
const STATISTICS64 = attributes({
  connections: [1, u64],
  inPackets: [2, u64],
  outPackets: [3, u64],
  inBytes: [4, u64],
  outBytes: [5, u64],
  connectionRate: [6, u64],
  inPacketRate: [7, u64],
  outPacketRate: [8, u64],
  inByteRate: [9, u64],
  outByteRate: [10, u64],
});

/** IPVS_SVC_ATTR_*. How `address` and `netmask` are to be read depends on `family`. */
export const SERVICE = attributes({
  family: [1, u16],
  protocol: [2, u16],
  address: [3, bytes],
  port: [4, be16],
  mark: [5, u32],
  scheduler: [6, string],
  flags: [7, flags],
  timeout: [8, u32],
  netmask: [9, bytes],
  engine: [11, string],
  statistics: [12, nested(STATISTICS64)],
});

/** IPVS_DEST_ATTR_*. */
export const DESTINATION = attributes({
  address: [1, bytes],
  port: [2, be16],
  method: [3, u32],
  weight: [4, u32],
  upperThreshold: [5, u32],
  lowerThreshold: [6, u32],
  activeConnections: [7, u32],
  inactiveConnections: [8, u32],
  persistentConnections: [9, u32],
  family: [11, u16],
  statistics: [12, nested(STATISTICS64)],
  tunnelType: [13, u8],
  tunnelPort: [14, be16],
  tunnelFlags: [15, u16],
});

/** IPVS_CMD_ATTR_*: every message but the answer to `getInfo`. */
export const IPVS = new MessageFormat(
  GENERIC_HEADER,
  attributes({
    service: [1, nested(SERVICE)],
    destination: [2, nested(DESTINATION)],
    tcpTimeout: [4, u32],
    tcpFinTimeout: [5, u32],
    udpTimeout: [6, u32],
  }),
);

/** IPVS_INFO_ATTR_*. */
export const INFO = new MessageFormat(
  GENERIC_HEADER,
  attributes({ version: [1, u32], connectionTableSize: [2, u32] }),
);
