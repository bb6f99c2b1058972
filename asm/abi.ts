/**
 * The numbers that cross the border between the host and the engine.
 *
 * Read by both compilers: AssemblyScript builds the engine with it, TypeScript the host. So it
 * holds nothing but enums, which mean the same in both.
 */

/** What is to be done with the packet in a slot. */
export enum PacketVerdict {
  /** Nothing: the slot is free. The detail is a {@link DropReason}. */
  Drop = 0,
  /** Write the slot out: the packet goes on, rewritten. */
  Forward = 1,
  /** Write the slot out: it now holds an answer to the sender (TCP RST, ICMP unreachable). */
  Reply = 2,
  /** No Service rule applies: the packet is as it came. */
  Pass = 3,
}

/** Why a packet was dropped. */
export enum DropReason {
  None = 0,
  /** Shorter than its headers, or its length fields contradict each other. */
  Malformed = 1,
  /** Neither IPv4 nor IPv6. */
  Version = 2,
  /** IPv4 header checksum wrong. */
  HeaderChecksum = 3,
  /** A source that no host may send from: multicast, loopback, unspecified, IPv4-mapped. */
  Source = 4,
  /** A destination that is not forwarded: multicast, broadcast, loopback, unspecified. */
  Destination = 5,
  /** Source and destination are the same address and port. */
  Land = 6,
  /** Source routing, routing header with segments left, too many extension headers. */
  Options = 7,
  /** TTL or hop limit 0. */
  Ttl = 8,
  /** TCP flags that never occur together, or data offset out of bounds. */
  TcpFlags = 9,
  /** Port 0. */
  PortZero = 10,
  /** Too small a first fragment, or one that lies about its place. */
  FragmentMalformed = 11,
  /** A later fragment whose first has not been seen. */
  FragmentUnknown = 12,
  /** A TCP segment that conntrack calls invalid in the connection's state. */
  TcpInvalid = 13,
  /** A TCP segment that can't begin a connection, for a Service address. */
  TcpNotSyn = 14,
  /** ICMP error with a bad checksum or quote. */
  IcmpMalformed = 15,
  /** ICMP error that contradicts the connection it quotes, or quotes one that is gone. */
  IcmpUnrelated = 16,
  /** For a port of the masquerade range that no connection has. */
  NoConnection = 17,
  /** The source address is in none of the frontend's source ranges. */
  SourceRange = 18,
  /** Traffic policy Local and no endpoint on this node. */
  NoLocalEndpoint = 19,
  /** Refused, but too many refusals were sent lately. */
  RejectRate = 20,
  /** Refused, and answering is not allowed (a TCP RST). */
  RejectSilent = 21,
  /** The connection table is full of assured connections. */
  TableFull = 22,
  /** No free source port for this backend. */
  NoFreePort = 23,
  /** Must be masqueraded, and there is no address for it. */
  NoMasqueradeAddress = 24,
  /** A source address that is itself a Service's. */
  SourceIsService = 25,
  /** Would be taken for the answer of another connection. */
  Clash = 26,
  /** SCTP chunks that contradict each other or the association's state. */
  SctpInvalid = 27,
  /** A fragment that overlaps others of its datagram, or of a datagram of which one did. */
  FragmentOverlap = 28,
  /** Number of reasons. */
  Count = 29,
}

/** Why a packet was passed: the detail of {@link PacketVerdict.Pass}. */
export enum PassReason {
  /** No frontend at its destination. */
  NoFrontend = 0,
  /** A protocol that Services don't have, ICMP queries included. */
  Protocol = 1,
}

/** How a packet was forwarded: the detail of {@link PacketVerdict.Forward}. */
export enum ForwardReason {
  /** By the entry of its connection. */
  Tracked = 0,
  /** As the first of a connection. */
  New = 1,
  /** As the first of a connection, to another backend than before. */
  Retried = 2,
  /** As an ICMP error about a connection. */
  Related = 3,
  /** As a later fragment. */
  Fragment = 4,
}

/** What was answered: the detail of {@link PacketVerdict.Reply}. */
export enum ReplyKind {
  Reset = 0,
  Unreachable = 1,
}

/** What is said about a slot, u32 each: the length by the host, the rest by the engine. */
export enum SlotRecord {
  /** A {@link PacketVerdict}. */
  Verdict = 0,
  Detail = 4,
  /** Bytes to be written out, header included; 0 when the packet was dropped. */
  LengthOut = 8,
  /** Bytes that were put in, header included. */
  LengthIn = 12,
  Size = 16,
}

/** Totals, each a u64 in the counter array. */
export enum Counter {
  Packets = 0,
  Bytes = 1,
  Forwarded = 2,
  Replied = 3,
  Passed = 4,
  Created = 5,
  Retried = 6,
  /** Half-open connections that made room for a new one. */
  EarlyDropped = 7,
  /** Affinities that made room for a new one. */
  AffinityEvicted = 8,
  Count = 9,
}

/** IP families. */
export enum IpFamily {
  V4 = 0,
  V6 = 1,
}

/** Transport protocols, by IP protocol number. */
export enum IpProtocol {
  Icmp = 1,
  Tcp = 6,
  Udp = 17,
  Icmp6 = 58,
  Sctp = 132,
}

/** How backends are picked: Linux's IPVS schedulers by their names, and random. */
export enum Scheduler {
  Rr = 0,
  Wrr = 1,
  Lc = 2,
  Wlc = 3,
  Lblc = 4,
  Lblcr = 5,
  Dh = 6,
  Sh = 7,
  Sed = 8,
  Nq = 9,
  Fo = 10,
  Ovf = 11,
  Mh = 12,
  Twos = 13,
  Random = 14,
}

/** What a Service port asks of its scheduler, as bits: IPVS' flags sh-fallback, mh-port and so on. */
export enum SchedulerFlag {
  /** sh, mh: where the hash leads to a backend of weight 0, try others. */
  Fallback = 1,
  /** sh, mh: hash the client's port with its address. */
  Port = 2,
}

/** What became of a pool's new list. */
export enum PoolChange {
  /** No room: the former list stays. */
  Refused = 0,
  Done = 1,
  /** The list is there, but there is no room for the scheduler's table: rr takes its place. */
  WithoutTable = 2,
}

/** The lists of backends that a Service port has. */
export enum PoolKind {
  Cluster = 0,
  Local = 1,
}

/** Classes of sources, in the order of a frontend's routes. */
export enum SourceKind {
  Pod = 0,
  Node = 1,
  Outside = 2,
}

/** A route in one byte: the action in bits 0-1, then flags. */
export enum RouteBits {
  Forward = 0,
  Reject = 1,
  Drop = 2,
  ActionMask = 3,
  Local = 4,
  Masquerade = 8,
}

/** Lists of networks that the host sets. */
export enum NetworkList {
  Pods = 0,
  Node = 1,
  NodePorts = 2,
}

/** Options of the engine, as bits. */
export enum EngineFlag {
  MasqueradeAlways = 1,
  RetryBackends = 2,
  /** Overhead of a backend as in Linux before 2026: see schedulers/wlc.ts. */
  InactiveOverhead = 4,
}

/** How a lookup came to its answer. */
export enum LookupReason {
  NoFrontend = 0,
  Tracked = 1,
  SourceRange = 2,
  NoEndpoints = 3,
  NoLocalEndpoint = 4,
  Affinity = 5,
  Scheduled = 6,
  NoUsableBackend = 7,
}

/**
 * A network in the scratch area: base and mask, 16 bytes each in network order; IPv4 is mapped
 * (::ffff:a.b.c.d).
 */
export enum NetworkRecord {
  Base = 0,
  Mask = 16,
  Size = 32,
}

/** One backend of a pool in the scratch area. */
export enum PoolRecord {
  Backend = 0,
  Weight = 4,
  Size = 8,
}

/** A frontend in the scratch area. */
export enum FrontendRecord {
  /** 16 bytes; all zero for a node port. */
  Address = 0,
  /** u16, host order. */
  Port = 16,
  Protocol = 18,
  Family = 19,
  /** Three bytes of {@link RouteBits}, by {@link SourceKind}. */
  Routes = 20,
  /** A number that the host gives a meaning. */
  Kind = 23,
  ServicePort = 24,
  /** Number of networks that follow; 0xffffffff for no restriction. */
  RangeCount = 28,
  Ranges = 32,
}

/** A question in the scratch area. */
export enum QueryRecord {
  Source = 0,
  Dest = 16,
  /** u16, host order; see {@link QueryRecord.HasSourcePort}. */
  SourcePort = 32,
  Port = 34,
  Protocol = 36,
  Family = 37,
  HasSourcePort = 38,
  Size = 40,
}

/** The answer that takes the question's place. */
export enum AnswerRecord {
  /** A {@link LookupReason}. */
  Reason = 0,
  SourceClass = 1,
  FrontendKind = 2,
  /** A {@link PoolKind}. */
  Pool = 3,
  Masquerade = 4,
  Scheduler = 5,
  /** Connection's state when tracked. */
  State = 6,
  ServicePort = 8,
  Backend = 12,
  /** u32 seconds that the affinity still holds. */
  AffinitySeconds = 16,
  /** u32, where round robin stands. */
  Cursor = 20,
  /** u32, backends in the pool. */
  Count = 24,
  BackendAddress = 32,
  BackendPort = 48,
  Size = 56,
}

/** A candidate of a pool in the scratch area, as the engine writes it. */
export enum CandidateRecord {
  Backend = 0,
  Weight = 4,
  Address = 8,
  /** u16, host order. */
  Port = 24,
  Size = 32,
}

/** A connection in the scratch area, as the engine writes it. */
export enum ConnectionRecord {
  /** Source 16, destination 16, source port u16, destination port u16 (host order). */
  Original = 0,
  Reply = 40,
  Protocol = 80,
  Family = 81,
  State = 82,
  Assured = 83,
  /** u32 s since it began: see tables/beginnings.ts. */
  Age = 84,
  /** u32 ms. */
  ExpiresIn = 88,
  Backend = 92,
  Size = 96,
}

/** Where the parts of a connection record's tuples are. */
export enum TupleRecord {
  Source = 0,
  Dest = 16,
  SourcePort = 32,
  DestPort = 34,
}

/** A backend's counters in the scratch area, as the engine writes them. */
export enum BackendRecord {
  /** u64. */
  Connections = 0,
  Packets = 8,
  Bytes = 16,
  /** u32. */
  Active = 24,
  Size = 32,
}

/** States of TCP connections, in nf_conntrack's order. */
export enum TcpState {
  None = 0,
  SynSent = 1,
  SynRecv = 2,
  Established = 3,
  FinWait = 4,
  CloseWait = 5,
  LastAck = 6,
  TimeWait = 7,
  Close = 8,
  SynSent2 = 9,
  Count = 10,
}

/** No id: the tables' functions return it when they are full. */
export enum Id {
  None = 0,
}
