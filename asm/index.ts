/**
 * What the host calls. Numbers and records are those of abi.ts; records and addresses go through
 * the scratch area, addresses as 16 bytes in network order (IPv4 mapped into ::ffff:0:0/96). Ids
 * are not 0; 0 means that a table is full. All calls are synchronous and none of them traps.
 */

import { EngineFlag, PoolChange, PoolKind } from "./abi";
import { layoutAhead } from "./ahead";
import { layoutArenas } from "./arena";
import { counters, drops } from "./counters";
import { layoutForward, processBatch, setFlags } from "./forward";
import { layoutIcmpErrors } from "./icmp_error";
import { answerQuery, layoutLookup, listCandidates, listConnections, nextCursor } from "./lookup";
import { beginLayout, pagesLaidOut, region } from "./memory";
import { setMasqueradePorts } from "./nat";
import { layoutPackets } from "./packet";
import { layoutRateLimits } from "./rate_limit";
import { seedRandom, splitmix } from "./random";
import { dropLists, replaceList, setScheduler } from "./schedulers/lists";
import { setInactiveOverhead } from "./schedulers/wlc";
import { addConnections, layoutWithoutPackets, scheduleQuery } from "./schedulers/without_packets";
import {
  layoutSlots,
  records as slotRecords,
  slotCapacity,
  slotCount,
  slots,
  slotStride,
} from "./slots";
import { dropAffinities, expireAffinities, layoutAffinity } from "./tables/affinity";
import {
  addBackend,
  backendAt,
  describeBackend,
  isLeaving,
  layoutBackends,
  retireBackend,
  reviveBackend,
} from "./tables/backends";
import {
  capacity as connectionCapacity,
  expireEntries,
  layoutConntrack,
  live as liveConnections,
  removeUdpOf,
  setNow,
} from "./tables/conntrack";
import { expireDestinations, layoutDestinations } from "./tables/destinations";
import { layoutFragments } from "./tables/fragments";
import { layoutFrontends, putFrontend, removeFrontend } from "./tables/frontends";
import { layoutKeptSyns } from "./tables/kept_syns";
import { layoutMasquerade, setMasqueradeAddress } from "./tables/masquerade";
import { layoutNetworks, setNetworks } from "./tables/networks";
import { layoutPools } from "./tables/pools";
import {
  addServicePort,
  isServicePort,
  layoutServicePorts,
  poolOf,
  removeServicePort,
  servicePortAt,
} from "./tables/service_ports";
import { setTcpTimeout, setUdpTimeouts } from "./timeouts";
import { seedHash } from "./tuple";

/** Bytes of the scratch area. */
const SCRATCH_SIZE: u32 = 1 << 20;
let scratch: usize = 0;

/**
 * Lays the tables out for the given capacities and says how many pages the memory needs. Asked
 * first of an instance with a minimal memory, then of the one that has as many: only then may
 * {@link start} follow.
 */
export function layout(
  slotNumber: u32,
  slotBytes: u32,
  connections: u32,
  servicePorts: u32,
  frontends: u32,
  backends: u32,
  affinities: u32,
  keptSyns: u32,
): u32 {
  beginLayout();
  scratch = region(SCRATCH_SIZE);
  layoutSlots(slotNumber, slotBytes);
  layoutPackets(slotNumber);
  layoutAhead(slotNumber);
  layoutForward();
  layoutIcmpErrors();
  layoutLookup();
  layoutWithoutPackets();
  layoutRateLimits();
  layoutNetworks();
  layoutFragments();
  layoutServicePorts(servicePorts);
  layoutFrontends(frontends);
  layoutBackends(backends);
  layoutPools(backends);
  layoutDestinations();
  // Two pools of 24-byte members, rounded up to powers of two, each once more while it is replaced,
  // and source ranges; tournaments, and mh's tables of 8 KiB for half of the Service ports.
  layoutArenas(backends * 128 + servicePorts * 384, backends * 128 + servicePorts * 4096);
  layoutAffinity(affinities);
  layoutKeptSyns(keptSyns);
  layoutMasquerade();
  layoutConntrack(connections);
  return pagesLaidOut();
}

let flags: u32 = 0;

/** Begins: EngineFlag bits, masquerade ports (0, 0: any), seed of all that is random, the time. */
export function start(bits: u32, firstPort: u32, lastPort: u32, seed: u64, nowMs: f64): void {
  flags = bits;
  setFlags(bits);
  setInactiveOverhead((bits & EngineFlag.InactiveOverhead) != 0);
  setMasqueradePorts(firstPort, lastPort);
  seedRandom(seed);
  seedHash(splitmix(seed));
  setNow(nowMs);
}

/** Sets the timeout of a TcpState. */
export function setTimeout(state: u32, ms: u32): void {
  setTcpTimeout(state, ms);
}

/** Sets the timeouts of UDP: of single datagrams, and of streams. */
export function setDatagramTimeouts(ms: u32, streamMs: u32): void {
  setUdpTimeouts(ms, streamMs);
}

/** Handles `count` slots of the ring from `first` on. */
export function process(first: u32, count: u32, nowMs: f64): void {
  setNow(nowMs);
  if (first < slotCount && count <= slotCount) processBatch(first, count);
}

/** Looks at the next `budget` places of conntrack, affinities and destinations for what has run out. */
export function expire(nowMs: f64, budget: u32): void {
  setNow(nowMs);
  expireEntries(budget);
  expireAffinities(budget);
  expireDestinations(budget);
}

// Where things are.

export function scratchAt(): usize {
  return scratch;
}
export function scratchSize(): u32 {
  return SCRATCH_SIZE;
}
export function slotsAt(): usize {
  return slots;
}
export function slotStrideBytes(): u32 {
  return slotStride;
}
export function slotCapacityBytes(): u32 {
  return slotCapacity;
}
export function slotRecordsAt(): usize {
  return slotRecords;
}
export function countersAt(): usize {
  return counters;
}
export function dropsAt(): usize {
  return drops;
}
export function connectionsNow(): u32 {
  return liveConnections();
}
export function connectionLimit(): u32 {
  return connectionCapacity;
}

// The node.

/** Replaces a family's NetworkList by `count` NetworkRecords in the scratch area. */
export function networksSet(list: u32, family: u32, count: u32): bool {
  return setNetworks(list, family, scratch, count);
}

/**
 * Sets, or takes away, the masquerade address of a family; it is in the scratch area. False when too
 * many former ones still have connections.
 */
export function masqueradeSet(family: u32, present: bool): bool {
  return setMasqueradeAddress(family, present, load<u64>(scratch), load<u64>(scratch, 8));
}

// Service ports, frontends, backends.

/** Adds a Service port without backends, with scheduler rr. */
export function servicePortAdd(): u32 {
  return addServicePort();
}

/** Sets Scheduler, SchedulerFlag bits and the timeout of session affinity, 0 for none. */
export function servicePortUpdate(id: u32, scheduler: u32, bits: u32, affinityMs: u32): void {
  setScheduler(id, scheduler, bits, affinityMs);
}
export function servicePortRemove(id: u32): void {
  if (!isServicePort(id)) return;
  dropLists(id);
  removeServicePort(id);
}

/** Adds or replaces the FrontendRecord in the scratch area; its id. */
export function frontendPut(): u32 {
  return putFrontend(scratch);
}
export function frontendRemove(id: u32): void {
  removeFrontend(id);
}

/** Adds a backend whose address is in the scratch area. */
export function backendAdd(servicePort: u32, port: u32, family: u32): u32 {
  return addBackend(servicePort, scratch, port, family);
}

/** Says which use of the backend's place this is: see {@link backendRevive}. */
export function backendGeneration(id: u32): u32 {
  return backendAt(id).generation;
}

/** Whether a removed backend is still there: it has connections, or a scheduler knows it. */
export function backendIsLeaving(id: u32, generation: u32): bool {
  return isLeaving(id, generation);
}

/** Puts a removed backend back that is still there; false when it is gone for good. */
export function backendRevive(id: u32, generation: u32, servicePort: u32): bool {
  return reviveBackend(id, generation, servicePort);
}

/**
 * Removes a backend that is in no pool any more. Its affinities and UDP connections end at once,
 * so that clients that keep their port move on; TCP connections live on.
 */
export function backendRemove(id: u32): void {
  dropAffinities(id);
  removeUdpOf(id);
  retireBackend(id);
}

/** Writes the BackendRecord of an id to the scratch area; false when there is none. */
export function backendDescribe(id: u32): bool {
  return describeBackend(id, scratch);
}

/** Replaces a PoolKind of a Service port by `count` PoolRecords in the scratch area. */
export function poolSet(servicePort: u32, kind: PoolKind, count: u32): PoolChange {
  return replaceList(servicePort, kind, scratch, count);
}

// Questions.

/** Replaces the QueryRecord in the scratch area by its AnswerRecord. */
export function lookup(nowMs: f64): void {
  setNow(nowMs);
  answerQuery(scratch, (flags & EngineFlag.MasqueradeAlways) != 0);
}

/** Writes up to `limit` CandidateRecords of a pool to the scratch area; how many. */
export function candidates(servicePort: u32, kind: PoolKind, from: u32, limit: u32): u32 {
  return listCandidates(poolOf(servicePortAt(servicePort), kind), from, limit, scratch);
}

/** Writes up to `limit` ConnectionRecords behind `cursor` to the scratch area; how many. */
export function connections(cursor: u32, limit: u32, nowMs: f64): u32 {
  setNow(nowMs);
  return listConnections(cursor, limit, scratch);
}

/** The cursor for the page behind the last one, 0 when that was the last. */
export function connectionsNext(): u32 {
  return nextCursor;
}

// Schedulers without packets, for simulations.

/** The backend that takes a new connection with the tuple of the QueryRecord in the scratch area; or 0. */
export function schedule(servicePort: u32, kind: PoolKind, nowMs: f64): u32 {
  setNow(nowMs);
  return scheduleQuery(servicePort, kind, scratch);
}

/** So many active connections of a backend more or less, and so many in all. */
export function burden(backend: u32, active: i32, total: i32): void {
  addConnections(backend, active, total);
}
