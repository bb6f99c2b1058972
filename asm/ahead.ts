/**
 * Touching ahead what a batch of packets will need: Wasm has no prefetch, but loads that do not wait
 * for one another overlap, and what they fetch is there when the packets are handled. So every loop
 * here does no more than to find the next place and to load from it.
 */

import { PoolKind } from "./abi";
import { region } from "./memory";
import { likelyReplyHash } from "./nat";
import { KIND_FLOW, Packet, packetOf, PACKET_SIZE, setFrontendAhead, tupleOf } from "./packet";
import { backendAt } from "./tables/backends";
import {
  findFrontendBehind,
  frontendAt,
  headOfDestination,
  headOfSource,
} from "./tables/frontends";
import { Member, memberAt } from "./tables/pools";
import { poolOf, ServicePort, servicePortAt } from "./tables/service_ports";
import { addressesOf, backendIn, entryAt, isV6In } from "./tables/entry";
import {
  bucketFrom,
  bucketOf,
  compare,
  count,
  linkAt,
  linkBits,
  linkMask,
} from "./tables/tuple_index";

/** Takes part in the result, so that the touching is not optimised away. */
let touched: u32 = 0;

/** Touches what the parsed packets in the slots from `first` to before `end` need. */
export function touch(first: u32, end: u32): void {
  let sink = touched;
  const from = changetype<usize>(packetOf(first));
  const behind = changetype<usize>(packetOf(end));
  // What the loops need is taken into locals: the compiler would load globals in every round.
  const origin = bucketOf(0), buckets = count, bits = linkBits, mask = ~linkMask;
  for (let at = from; at < behind; at += PACKET_SIZE) {
    sink += load<u32>(bucketFrom(origin, buckets, changetype<Packet>(at).hash));
  }
  let number: u32 = 0;
  for (let at = from; at < behind; at += PACKET_SIZE) {
    const p = changetype<Packet>(at);
    if (p.kind != KIND_FLOW) continue;
    const hash = p.hash;
    const bucket = bucketFrom(origin, buckets, hash);
    const agree = compare(bucket, hash << bits, mask);
    // A free place agrees with the hash 0.
    const link = agree == 0 ? 0 : linkAt(bucket, agree);
    if (link != 0) p.link = link;
    else {
      store<u32>(missed + (<usize>number << 2), <u32>at);
      number++;
    }
  }
  misses = number;
  // An entry may lie in two cache lines.
  for (let at = from; at < behind; at += PACKET_SIZE) {
    const e = entryAt(changetype<Packet>(at).link >> 1);
    sink += e.source + load<u32>(changetype<usize>(e), 44);
  }
  for (let at = from; at < behind; at += PACKET_SIZE) {
    const e = entryAt(changetype<Packet>(at).link >> 1);
    const owner = e.owner;
    sink += backendAt(backendIn(owner)).total;
    if (isV6In(owner)) {
      const addresses = changetype<usize>(addressesOf(e));
      sink += load<u32>(addresses) + load<u32>(addresses, 36);
    }
  }
  touched = misses == 0 ? sink : touchForNew(sink);
}

/**
 * Packets of the batch that no entry agrees with: records, what was found out for each, and where it is
 * found whether its source is a frontend.
 */
let misses: u32 = 0;
let missed: usize = 0;
let found: usize = 0;
let sourceHeads: usize = 0;

export function layoutAhead(slotNumber: u32): void {
  missed = region(<usize>slotNumber << 2);
  found = region(<usize>slotNumber << 2);
  sourceHeads = region(<usize>slotNumber << 2);
}

// @ts-ignore: decorator
@inline
function missAt(list: usize, at: usize): Packet {
  return changetype<Packet>(<usize>load<u32>(list + at));
}

// @ts-ignore: decorator
@inline
function foundAt(notes: usize, at: usize): u32 {
  return load<u32>(notes + at);
}

// @ts-ignore: decorator
@inline
function setFound(notes: usize, at: usize, value: usize): void {
  store<u32>(notes + at, <u32>value);
}

/**
 * The same for packets that will open connections: frontend, Service port, the backend whose turn it
 * is in round robin, and where the reply tuple goes. Loops that compute much touch nothing: the
 * processor would have too few loads under way.
 */
function touchForNew(sink: u32): u32 {
  const list = missed, notes = found, sources = sourceHeads;
  const end = <usize>misses << 2;
  for (let at: usize = 0; at < end; at += 4) {
    const t = tupleOf(missAt(list, at));
    setFound(notes, at, headOfDestination(t));
    setFound(sources, at, headOfSource(t));
  }
  for (let at: usize = 0; at < end; at += 4) {
    sink += load<u32>(foundAt(notes, at)) + load<u32>(foundAt(sources, at));
  }
  for (let at: usize = 0; at < end; at += 4) {
    const id = load<u32>(foundAt(notes, at));
    setFound(notes, at, id);
    sink += frontendAt(id).servicePort;
  }
  for (let at: usize = 0; at < end; at += 4) {
    const p = missAt(list, at);
    const id = findFrontendBehind(foundAt(notes, at), tupleOf(p));
    setFrontendAhead(p, id);
    const s = servicePortAt(frontendAt(id).servicePort);
    setFound(notes, at, changetype<usize>(s));
  }
  for (let at: usize = 0; at < end; at += 4) {
    const s = changetype<ServicePort>(<usize>foundAt(notes, at));
    sink += s.affinityMs + poolOf(s, PoolKind.Cluster).leaves + poolOf(s, PoolKind.Local).leaves;
  }
  for (let at: usize = 0; at < end; at += 4) {
    const pool = poolOf(changetype<ServicePort>(<usize>foundAt(notes, at)), PoolKind.Cluster);
    const member = memberAt(pool, pool.position < pool.count ? pool.position : 0);
    setFound(notes, at, pool.count == 0 ? 0 : changetype<usize>(member));
    sink += load<u32>(foundAt(notes, at));
  }
  for (let at: usize = 0; at < end; at += 4) {
    const member = foundAt(notes, at);
    const id = member == 0 ? 0 : changetype<Member>(<usize>member).backend;
    setFound(notes, at, id);
    sink += backendAt(id).total;
  }
  for (let at: usize = 0; at < end; at += 4) {
    const p = missAt(list, at);
    setFound(notes, at, bucketOf(likelyReplyHash(tupleOf(p), backendAt(foundAt(notes, at)), p.hash)));
  }
  for (let at: usize = 0; at < end; at += 4) sink += load<u32>(foundAt(notes, at));
  return sink;
}
