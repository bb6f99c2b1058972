/**
 * Virtual servers and their real servers: as data, and in messages.
 *
 * @module
 */

import {
  addressBytes,
  type Family,
  familyOf,
  formatAddress,
  formatSocketAddress,
} from "../../net/address.ts";
import type { ValuesOf } from "../attribute.ts";
import { malformed } from "../error.ts";
import { familyName, familyNumber } from "../family.ts";
import { names } from "../names.ts";
import {
  type DESTINATION,
  type SERVICE,
  SERVICE_ONE_PACKET,
  SERVICE_PERSISTENT,
  SERVICE_SCHEDULER_1,
  SERVICE_SCHEDULER_2,
  SERVICE_SCHEDULER_3,
} from "./ipvs_formats.ts";

/** A virtual server that is found by where packets go. */
export interface AddressServerId {
  readonly address: string;
  /** 0: all ports, with persistence only. */
  readonly port: number;
  /** IP protocol: 6 TCP, 17 UDP, 132 SCTP. */
  readonly protocol: number;
}

/** A virtual server that is found by the mark of packets. */
export interface MarkServerId {
  /** Not 0. */
  readonly mark: number;
  readonly family: Family;
}

export type VirtualServerId = AddressServerId | MarkServerId;

/** Clients that stay with their server. */
export interface Persistence {
  /** Seconds after a client's last new connection. */
  readonly timeout: number;
  /** Bits of the networks that count as one client (default: all bits). */
  readonly prefix?: number;
}

/** How a virtual server spreads connections. */
export interface Scheduling {
  /** Name of the scheduler's module without ip_vs_; ENOENT when the kernel has none. */
  readonly scheduler: string;
  /** Bits of {@link SCHEDULER_FLAGS} (default: 0). */
  readonly schedulerFlags?: number;
  /** UDP: schedule every packet anew (default: false). */
  readonly onePacket?: boolean;
  readonly persistence?: Persistence | null;
  /** Persistence by what packets contain, such as "sip". */
  readonly engine?: string | null;
}

export type VirtualServer = VirtualServerId & Scheduling;

/** Options of schedulers, as ipvsadm names them. */
export const SCHEDULER_FLAGS = {
  "sh-fallback": SERVICE_SCHEDULER_1,
  "sh-port": SERVICE_SCHEDULER_2,
  "mh-fallback": SERVICE_SCHEDULER_1,
  "mh-port": SERVICE_SCHEDULER_2,
} as const;

const ALL_SCHEDULER_FLAGS = SERVICE_SCHEDULER_1 | SERVICE_SCHEDULER_2 | SERVICE_SCHEDULER_3;

/** How packets get to a real server (IP_VS_CONN_F_*). */
export type ForwardingMethod = "masquerade" | "local" | "tunnel" | "direct" | "bypass";
const METHODS = names<ForwardingMethod>({
  masquerade: 0,
  local: 1,
  tunnel: 2,
  direct: 3,
  bypass: 4,
});

export type TunnelType = "ipip" | "gue" | "gre";
const TUNNELS = names<TunnelType>({ ipip: 0, gue: 1, gre: 2 });

/** How packets are wrapped on the way to a real server. */
export interface Tunnel {
  readonly type: TunnelType | number;
  /** GUE: UDP port. */
  readonly port?: number;
  /** IP_VS_TUNNEL_ENCAP_FLAG_*: 1 checksum, 2 remote checksum offload. */
  readonly flags?: number;
}

/** What names a real server of a virtual one. */
export interface RealServerId {
  readonly address: string;
  /** 0: the port that the client asked for. */
  readonly port: number;
}

/** A server that connections go to. */
export interface RealServer extends RealServerId {
  /** Default: masquerade. */
  readonly method?: ForwardingMethod | number;
  /** 0: no new connections. At most 2^31 − 1. */
  readonly weight: number;
  /** Connections at which it gets no more; 0 (default): no limit. */
  readonly upperThreshold?: number;
  /** Connections below which it gets some again (default: three quarters of the upper one). */
  readonly lowerThreshold?: number;
  readonly tunnel?: Tunnel;
}

/** What passed, and its rates a second. The kernel adds both up every two seconds. */
export interface ServerStatistics {
  readonly connections: bigint;
  readonly inPackets: bigint;
  readonly outPackets: bigint;
  readonly inBytes: bigint;
  readonly outBytes: bigint;
  readonly connectionRate: bigint;
  readonly inPacketRate: bigint;
  readonly outPacketRate: bigint;
  readonly inByteRate: bigint;
  readonly outByteRate: bigint;
}

/** What a server has counted that nobody used. */
export const NO_STATISTICS: ServerStatistics = {
  connections: 0n,
  inPackets: 0n,
  outPackets: 0n,
  inBytes: 0n,
  outBytes: 0n,
  connectionRate: 0n,
  inPacketRate: 0n,
  outPacketRate: 0n,
  inByteRate: 0n,
  outByteRate: 0n,
};

/** A virtual server as it is listed. */
export type ListedVirtualServer =
  & VirtualServerId
  & Required<Scheduling>
  & { readonly statistics: ServerStatistics };

/** A real server as it is listed. */
export interface ListedRealServer extends RealServer {
  readonly method: ForwardingMethod | number;
  readonly upperThreshold: number;
  readonly lowerThreshold: number;
  readonly activeConnections: number;
  readonly inactiveConnections: number;
  /** Clients that stay with it. */
  readonly persistentConnections: number;
  readonly statistics: ServerStatistics;
}

/** The family of a virtual server. */
export function serverFamily(id: VirtualServerId): Family {
  return "mark" in id ? id.family : familyOf(id.address);
}

/** A virtual server for messages to people: "TCP 10.96.0.1:443", "mark 5 (IPv6)". */
export function serverText(id: VirtualServerId): string {
  if ("mark" in id) return `mark ${id.mark} (${id.family})`;
  return `${PROTOCOLS.name(id.protocol)} ${endText(id)}`;
}

const PROTOCOLS = names<"TCP" | "UDP" | "SCTP">({ TCP: 6, UDP: 17, SCTP: 132 });

/** "192.0.2.1:80", "[2001:db8::1]:80". */
export function endText({ address, port }: RealServerId): string {
  return formatSocketAddress(address, port);
}

type ServiceValues = ValuesOf<typeof SERVICE>;
type DestinationValues = ValuesOf<typeof DESTINATION>;

/** The attributes that name a virtual server. */
export function serverIdAttributes(id: VirtualServerId): ServiceValues {
  const family = familyNumber(serverFamily(id));
  return "mark" in id
    ? { family, mark: id.mark }
    : { family, protocol: id.protocol, address: paddedAddress(id.address), port: id.port };
}

/** All attributes of a virtual server; the kernel wants every one of them also for a change. */
export function serverAttributes(server: VirtualServer): ServiceValues {
  const { scheduler, schedulerFlags = 0, onePacket, persistence, engine } = server;
  if ((schedulerFlags & ~ALL_SCHEDULER_FLAGS) !== 0) {
    throw new RangeError(`${schedulerFlags} are no flags of a scheduler`);
  }
  return {
    ...serverIdAttributes(server),
    scheduler,
    flags: schedulerFlags | (onePacket ? SERVICE_ONE_PACKET : 0) |
      (persistence ? SERVICE_PERSISTENT : 0),
    timeout: persistence?.timeout ?? 0,
    netmask: netmaskBytes(serverFamily(server), persistence?.prefix),
    engine: engine ?? undefined,
  };
}

/** Reads a virtual server. */
export function readServer(values: ServiceValues): ListedVirtualServer {
  const { mark, protocol, address, port, flags = 0, timeout = 0, netmask } = values;
  const family = familyName(values.family ?? 0);
  if (family === null) throw malformed(`a virtual server of address family ${values.family}`);
  let id: VirtualServerId;
  if (mark !== undefined && mark !== 0) id = { mark, family };
  else if (protocol !== undefined && address !== undefined && port !== undefined) {
    id = { address: readAddress(family, address), port, protocol };
  } else throw malformed("a virtual server without address or mark");
  return {
    ...id,
    scheduler: values.scheduler ?? "",
    schedulerFlags: flags & ALL_SCHEDULER_FLAGS,
    onePacket: (flags & SERVICE_ONE_PACKET) !== 0,
    persistence: (flags & SERVICE_PERSISTENT) === 0
      ? null
      : { timeout, prefix: readNetmask(family, netmask) },
    engine: values.engine || null,
    statistics: readStatistics(values.statistics),
  };
}

/** The attributes that name a real server. */
export function realServerIdAttributes({ address, port }: RealServerId): DestinationValues {
  return { address: paddedAddress(address), port, family: familyNumber(familyOf(address)) };
}

/** All attributes of a real server. */
export function realServerAttributes(server: RealServer): DestinationValues {
  const { method = "masquerade", weight, upperThreshold = 0, lowerThreshold = 0, tunnel } = server;
  return {
    ...realServerIdAttributes(server),
    method: METHODS.number(method),
    weight,
    upperThreshold,
    lowerThreshold,
    ...(tunnel === undefined ? {} : {
      tunnelType: TUNNELS.number(tunnel.type),
      tunnelPort: tunnel.port ?? 0,
      tunnelFlags: tunnel.flags ?? 0,
    }),
  };
}

/** Reads a real server of a virtual one of that family, which old kernels don't repeat. */
export function readRealServer(values: DestinationValues, family: Family): ListedRealServer {
  const { address, port, tunnelType = 0, tunnelPort = 0, tunnelFlags = 0 } = values;
  if (address === undefined || port === undefined) {
    throw malformed("a real server without address or port");
  }
  const own = values.family ? familyName(values.family) : family;
  if (own === null) throw malformed(`a real server of address family ${values.family}`);
  const method = METHODS.name((values.method ?? 0) & METHOD_MASK);
  return {
    address: readAddress(own, address),
    port,
    method,
    weight: values.weight ?? 0,
    upperThreshold: values.upperThreshold ?? 0,
    lowerThreshold: values.lowerThreshold ?? 0,
    ...(method === "tunnel"
      ? { tunnel: { type: TUNNELS.name(tunnelType), port: tunnelPort, flags: tunnelFlags } }
      : {}),
    activeConnections: values.activeConnections ?? 0,
    inactiveConnections: values.inactiveConnections ?? 0,
    persistentConnections: values.persistentConnections ?? 0,
    statistics: readStatistics(values.statistics),
  };
}

/** IP_VS_CONN_F_FWD_MASK. */
const METHOD_MASK = 7;

/** `union nf_inet_addr`: always 16 bytes, an IPv4 address in the first four. */
function paddedAddress(address: string): Uint8Array {
  const padded = new Uint8Array(16);
  padded.set(addressBytes(address));
  return padded;
}

function readAddress(family: Family, bytes: Uint8Array): string {
  const size = family === "IPv4" ? 4 : 16;
  if (bytes.length < size) {
    throw malformed(`an ${family} address of IPVS has ${bytes.length} bytes`);
  }
  return formatAddress(bytes.subarray(0, size));
}

/** IPv4: the mask in network order. IPv6: the number of bits in host order. */
function netmaskBytes(family: Family, prefix = family === "IPv4" ? 32 : 128): Uint8Array {
  const bytes = new Uint8Array(4);
  const view = new DataView(bytes.buffer);
  if (family === "IPv6") view.setUint32(0, prefix, true);
  else view.setUint32(0, prefix === 0 ? 0 : 0xffffffff << (32 - prefix), false);
  return bytes;
}

function readNetmask(family: Family, bytes: Uint8Array | undefined): number {
  if (bytes?.length !== 4) throw malformed("a netmask of IPVS that has not 4 bytes");
  const view = new DataView(bytes.buffer, bytes.byteOffset, 4);
  if (family === "IPv6") return view.getUint32(0, true);
  // The leading ones; clz32 of 0, for a full mask, is 32.
  return Math.clz32(~view.getUint32(0, false));
}

function readStatistics(values: Partial<ServerStatistics> = {}): ServerStatistics {
  return {
    connections: values.connections ?? 0n,
    inPackets: values.inPackets ?? 0n,
    outPackets: values.outPackets ?? 0n,
    inBytes: values.inBytes ?? 0n,
    outBytes: values.outBytes ?? 0n,
    connectionRate: values.connectionRate ?? 0n,
    inPacketRate: values.inPacketRate ?? 0n,
    outPacketRate: values.outPacketRate ?? 0n,
    inByteRate: values.inByteRate ?? 0n,
    outByteRate: values.outByteRate ?? 0n,
  };
}
