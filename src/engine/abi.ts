/**
 * The numbers that host and engine share, and their names.
 *
 * @module
 */

import {
  DropReason,
  ForwardReason,
  IpFamily,
  IpProtocol,
  PacketVerdict,
  PassReason,
  ReplyKind,
  Scheduler,
  SchedulerFlag,
  TcpState,
} from "../../asm/abi.ts";
import type { Protocol } from "../cluster/objects.ts";
import type { Family } from "../net/address.ts";
import type { FrontendKind, SchedulerFlagName, SchedulerName, SourceClass } from "../plan/plan.ts";

export * from "../../asm/abi.ts";

/** Bytes of the virtio-net header in front of every packet. */
export const VNET_HEADER_SIZE = 12;

/** Least capacity of a slot: the longest answer that the engine makes, and its header. */
export const MIN_SLOT_CAPACITY = 2048;

/** "FragmentUnknown" → "fragment_unknown". */
function snakeCase(name: string): string {
  return name.replace(/(?<!^)[A-Z]+/g, (part) => `_${part}`).toLowerCase();
}

/** Names of the drop reasons, as counters carry them, by {@link DropReason}. */
export const DROP_REASONS: readonly string[] = Array.from(
  { length: DropReason.Count },
  (_, reason) => snakeCase(DropReason[reason]),
);

/** Names of the TCP states as `conntrack -L` prints them, by {@link TcpState}. */
export const TCP_STATES: readonly string[] = Array.from(
  { length: TcpState.Count },
  (_, state) => snakeCase(TcpState[state]).toUpperCase(),
);

/** Names of SCTP states, by number. */
export const SCTP_STATES: readonly string[] = [
  "NONE",
  "CLOSED",
  "COOKIE_WAIT",
  "COOKIE_ECHOED",
  "ESTABLISHED",
  "SHUTDOWN_SENT",
  "SHUTDOWN_RECD",
  "SHUTDOWN_ACK_SENT",
  "HEARTBEAT_SENT",
];

/** Numbers of the frontend kinds, by position. */
export const FRONTEND_KINDS: readonly FrontendKind[] = [
  "ClusterIP",
  "NodePort",
  "ExternalIP",
  "LoadBalancer",
];

/** Classes of sources, by {@link SourceKind}. */
export const SOURCE_CLASSES: readonly SourceClass[] = ["pod", "node", "outside"];

/** Numbers of the schedulers. */
export const SCHEDULERS: Readonly<Record<SchedulerName, Scheduler>> = {
  rr: Scheduler.Rr,
  wrr: Scheduler.Wrr,
  lc: Scheduler.Lc,
  wlc: Scheduler.Wlc,
  lblc: Scheduler.Lblc,
  lblcr: Scheduler.Lblcr,
  dh: Scheduler.Dh,
  sh: Scheduler.Sh,
  sed: Scheduler.Sed,
  nq: Scheduler.Nq,
  fo: Scheduler.Fo,
  ovf: Scheduler.Ovf,
  mh: Scheduler.Mh,
  twos: Scheduler.Twos,
  random: Scheduler.Random,
};

/** Bits of the schedulers' flags: those of sh and mh are the same, as in IPVS. */
export const SCHEDULER_FLAGS: Readonly<Record<SchedulerFlagName, SchedulerFlag>> = {
  "sh-fallback": SchedulerFlag.Fallback,
  "sh-port": SchedulerFlag.Port,
  "mh-fallback": SchedulerFlag.Fallback,
  "mh-port": SchedulerFlag.Port,
};

/** IP protocol number of a Service's protocol. */
export const PROTOCOL_NUMBERS: Readonly<Record<Protocol, IpProtocol>> = {
  TCP: IpProtocol.Tcp,
  UDP: IpProtocol.Udp,
  SCTP: IpProtocol.Sctp,
};

/** Name of an IP protocol number that Services have. */
export function protocolName(number: number): Protocol {
  if (number === IpProtocol.Tcp) return "TCP";
  return number === IpProtocol.Udp ? "UDP" : "SCTP";
}

/** Number of an IP family. */
export function familyNumber(family: Family): IpFamily {
  return family === "IPv4" ? IpFamily.V4 : IpFamily.V6;
}

/** What a verdict's detail means, in a word: for tests, logs and traces. */
export function describeVerdict(verdict: number, detail: number): string {
  switch (verdict) {
    case PacketVerdict.Drop:
      return `drop: ${DROP_REASONS[detail]}`;
    case PacketVerdict.Forward:
      return `forward: ${snakeCase(ForwardReason[detail])}`;
    case PacketVerdict.Reply:
      return `reply: ${snakeCase(ReplyKind[detail])}`;
    default:
      return `pass: ${snakeCase(PassReason[detail])}`;
  }
}
