/**
 * SYNs kept until their connection is answered, so that they can be sent again to another backend.
 * A ring: when all places are taken the oldest SYN is forgotten, and its connection is not tried
 * again when it is refused.
 */

import { region } from "../memory";
import { Packet, vnetOf } from "../packet";
import { VNET_SIZE } from "../wire/vnet";
import { Entry, entryAt, idOf, isWaiting, tcpOf } from "./entry";

/** Longest packet that is kept: IPv6, or IPv4 with options, and all TCP options. */
const LONGEST: u32 = 128;

@unmanaged
class KeptSyn {
  entry: u32;
  /** Of virtio-net header and packet, which follow. */
  length: u32;
}

const BYTES: usize = offsetof<KeptSyn>();
const SIZE: usize = BYTES + ((VNET_SIZE + LONGEST + 15) & ~15);

export let table: usize = 0;
let capacity: u32 = 0;
let hand: u32 = 0;

export function layoutKeptSyns(count: u32): void {
  capacity = count;
  table = region(<usize>(count + 1) * SIZE);
}

// @ts-ignore: decorator
@inline
function at(id: u32): KeptSyn {
  return changetype<KeptSyn>(table + <usize>id * SIZE);
}

/** Keeps the SYN of a waiting entry as it came, unless it is too long. */
// @ts-ignore: decorator
@inline
export function keep(e: Entry, p: Packet): void {
  if (capacity == 0 || p.length > LONGEST) return;
  hand = hand % capacity + 1;
  const k = at(hand);
  const former = entryAt(k.entry);
  if (isWaiting(former) && tcpOf(former).maxAck1 == hand) tcpOf(former).maxAck1 = 0;
  k.entry = idOf(e);
  k.length = p.length + VNET_SIZE;
  const from = vnetOf(p), to = changetype<usize>(k) + BYTES;
  // In steps of 16 bytes: a slot has as many behind any packet that is kept, and so has the place.
  for (let i: usize = 0; i < k.length; i += 16) v128.store(to + i, v128.load(from + i));
  tcpOf(e).maxAck1 = hand;
}

/** Whether a waiting entry's SYN is still kept. */
export function isKept(e: Entry): bool {
  return tcpOf(e).maxAck1 != 0;
}

/** Writes the kept SYN with its header to `to`; its length. */
export function restore(e: Entry, to: usize): u32 {
  const k = at(tcpOf(e).maxAck1);
  memory.copy(to, changetype<usize>(k) + BYTES, k.length);
  return k.length;
}
