/**
 * The ring of slots through which packets come and go: a 12-byte virtio-net header, directly behind
 * it the IP packet, so that one read(2) or write(2) moves both. Beside it, per slot, what the host
 * says (length) and what the engine answers (verdict, detail, length).
 */

import { DropReason, PacketVerdict } from "./abi";
import { count, countDrop } from "./counters";
import { Counter } from "./abi";
import { region } from "./memory";
import { VNET_SIZE } from "./wire/vnet";

export let slotCount: u32 = 0;
/** Bytes of a slot that may hold header and packet. */
export let slotCapacity: u32 = 0;
/** Bytes from one slot to the next. */
export let slotStride: u32 = 0;
export let slots: usize = 0;
/** u32 per slot, each. */
export let lengthsIn: usize = 0;
export let lengthsOut: usize = 0;
export let verdicts: usize = 0;
export let details: usize = 0;

export function layoutSlots(count: u32, capacity: u32): void {
  slotCount = count;
  slotCapacity = capacity;
  slotStride = (capacity + 63) & ~63;
  lengthsIn = region(<usize>count << 2);
  lengthsOut = region(<usize>count << 2);
  verdicts = region(<usize>count << 2);
  details = region(<usize>count << 2);
  slots = region(<usize>count * slotStride);
}

// @ts-ignore: decorator
@inline
export function slotAt(slot: u32): usize {
  return slots + <usize>slot * slotStride;
}

// @ts-ignore: decorator
@inline
export function lengthIn(slot: u32): u32 {
  return load<u32>(lengthsIn + (<usize>slot << 2));
}

/** Gives the verdict on a slot; `length` is the IP packet's, without the header. */
export function answer(slot: u32, verdict: u32, detail: u32, length: u32): void {
  const at = <usize>slot << 2;
  store<u32>(verdicts + at, verdict);
  store<u32>(details + at, detail);
  store<u32>(lengthsOut + at, length + VNET_SIZE);
}

export function drop(slot: u32, reason: DropReason): void {
  const at = <usize>slot << 2;
  store<u32>(verdicts + at, PacketVerdict.Drop);
  store<u32>(details + at, reason);
  store<u32>(lengthsOut + at, 0);
  countDrop(reason);
}

export function forward(slot: u32, detail: u32, length: u32): void {
  answer(slot, PacketVerdict.Forward, detail, length);
  count(Counter.Forwarded);
}

export function reply(slot: u32, detail: u32, length: u32): void {
  answer(slot, PacketVerdict.Reply, detail, length);
  count(Counter.Replied);
}

export function pass(slot: u32, detail: u32, length: u32): void {
  answer(slot, PacketVerdict.Pass, detail, length);
  count(Counter.Passed);
}
