/**
 * Trying another backend when the first refuses a connection (RST to the SYN), cannot be reached
 * (ICMP unreachable about the SYN) or stays silent (the client repeats its SYN), as kube-proxy's
 * userspace mode did: every usable backend of the pool once, in the pool's order from the first.
 */

import { Counter, DropReason, PoolKind } from "./abi";
import { count } from "./counters";
import { bind } from "./nat";
import { Packet, parse, transportAt } from "./packet";
import { setLengthIn, slotAt } from "./slots";
import { setAffinity } from "./tables/affinity";
import { backendAt, LIVE, poolIndex } from "./tables/backends";
import { detach, rejoin, remove } from "./tables/conntrack";
import {
  backendOf,
  Entry,
  has,
  isWaiting,
  LOCAL_POOL,
  masqueradeOf,
  ORIGINAL,
  REPLY,
  tcpOf,
  tupleOf,
} from "./tables/entry";
import { isKept, restore } from "./tables/kept_syns";
import { memberAt, nextUsable } from "./tables/pools";
import { poolOf, servicePortAt } from "./tables/service_ports";
import { begin } from "./tcp_state";
import { hashTuple, Tuple, TUPLE_SIZE } from "./tuple";
import * as tcp from "./wire/tcp";

/** Whether a segment of a waiting connection is the backend's refusal. */
export function isRefusal(e: Entry, direction: u32, at: usize): bool {
  return direction == REPLY && (tcp.flags(at) & tcp.RST) != 0 &&
    tcp.acknowledgment(at) == tcpOf(e).end0;
}

/**
 * Whether an ICMP unreachable that travels in the reply direction is about the SYN: the sequence
 * number that it quotes makes that hard to forge.
 */
export function isUndeliverable(e: Entry, direction: u32, sequence: u32): bool {
  return direction == REPLY && isWaiting(e) && tcpOf(e).end0 - sequence - 1 < MAX_SYN_DATA;
}

/** More than any SYN carries. */
const MAX_SYN_DATA: u32 = 65536;

/** Whether a segment of a waiting connection is its SYN again. */
export function isRepeated(direction: u32, at: usize): bool {
  return direction == ORIGINAL && tcp.classify(tcp.flags(at)) == tcp.CLASS_SYN;
}

/** The next backend (id) to be tried, or 0 when all have been. */
function nextBackend(e: Entry): u32 {
  const current = backendAt(backendOf(e));
  if (current.state != LIVE) return 0;
  const kind = has(e, LOCAL_POOL) ? PoolKind.Local : PoolKind.Cluster;
  const pool = poolOf(servicePortAt(current.servicePort), kind);
  const index = poolIndex(current, kind);
  if (index == 0 || tcpOf(e).end1 >= pool.usable) return 0;
  const next = memberAt(pool, nextUsable(pool, index - 1)).backend;
  return next == backendOf(e) ? 0 : next;
}

/** The original tuple of the connection that moves. */
const OWN: usize = memory.data(40, 8);

/**
 * Moves a waiting connection, and the client's affinity, to another backend. False when no source
 * port is free towards it: the connection is deleted then.
 */
function move(e: Entry, backend: u32): bool {
  memory.copy(OWN, changetype<usize>(tupleOf(e, ORIGINAL)), TUPLE_SIZE);
  const o = changetype<Tuple>(OWN);
  const b = backendAt(backend);
  const hairpin = b.addressLo == o.sourceLo && b.addressHi == o.sourceHi;
  const s = servicePortAt(b.servicePort);
  detach(e);
  const reason = bind(e, o, backend, masqueradeOf(e) != 0 || hairpin, hashTuple(o));
  rejoin(e);
  if (reason != DropReason.None) {
    remove(e);
    return false;
  }
  tcpOf(e).end1++;
  if (s.affinityMs != 0) setAffinity(b.servicePort, o.sourceHi, o.sourceLo, backend, s.affinityMs);
  count(Counter.Retried);
  return true;
}

/** What {@link retryRefused} did. */
export const NOT_RETRIED: u32 = 0;
export const RETRIED: u32 = 1;
/** No source port towards the next backend: the connection is gone. */
export const FAILED: u32 = 2;

/**
 * After a refusal: the slot becomes the client's SYN, for the next backend. When it is not retried
 * the refusal is to be passed on to the client, and nothing has changed.
 */
export function retryRefused(p: Packet, e: Entry): u32 {
  const next = nextBackend(e);
  if (next == 0 || !isKept(e)) return NOT_RETRIED;
  if (!move(e, next)) return FAILED;
  const slot = p.slot;
  setLengthIn(slot, restore(e, slotAt(slot)));
  parse(slot);
  begin(e, transportAt(p), p.transportLength);
  return RETRIED;
}

/** When the client repeats its SYN: moves the connection. False when it stays where it is. */
export function retrySilent(p: Packet, e: Entry): bool {
  const next = nextBackend(e);
  if (next == 0 || !move(e, next)) return false;
  begin(e, transportAt(p), p.transportLength);
  return true;
}
