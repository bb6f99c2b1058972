/**
 * The ring of slots through which packets come and go: a 12-byte virtio-net header, directly behind
 * it the IP packet, so that one read(2) or write(2) moves both. Beside it, per slot, a SlotRecord: what
 * the host says (length) and what the engine answers (verdict, detail, length).
 */

import { DropReason, PacketVerdict, SlotRecord } from "./abi";
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
/** A SlotRecord per slot. */
export let records: usize = 0;

export function layoutSlots(count: u32, capacity: u32): void {
  slotCount = count;
  slotCapacity = capacity;
  slotStride = (capacity + 63) & ~63;
  records = region(<usize>count * SlotRecord.Size);
  slots = region(<usize>count * slotStride);
}

// @ts-ignore: decorator
@inline
export function slotAt(slot: u32): usize {
  return slots + <usize>slot * slotStride;
}

// @ts-ignore: decorator
@inline
function recordAt(slot: u32): usize {
  return records + <usize>slot * SlotRecord.Size;
}

// @ts-ignore: decorator
@inline
export function lengthIn(slot: u32): u32 {
  return load<u32>(recordAt(slot), SlotRecord.LengthIn);
}

export function setLengthIn(slot: u32, length: u32): void {
  store<u32>(recordAt(slot), length, SlotRecord.LengthIn);
}

/** Gives the verdict on a slot; `length` is the IP packet's, without the header. */
// @ts-ignore: decorator
@inline
export function answer(slot: u32, verdict: u32, detail: u32, length: u32): void {
  const at = recordAt(slot);
  store<u64>(at, <u64>verdict | (<u64>detail << 32), SlotRecord.Verdict);
  store<u32>(at, length + VNET_SIZE, SlotRecord.LengthOut);
}

export function drop(slot: u32, reason: DropReason): void {
  const at = recordAt(slot);
  store<u64>(at, <u64>PacketVerdict.Drop | (<u64>reason << 32), SlotRecord.Verdict);
  store<u32>(at, 0, SlotRecord.LengthOut);
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
