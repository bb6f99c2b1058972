/**
 * What TCP keeps in the marks of an entry, beside its state: how the last segment was, and what is
 * known of both sides.
 */

import { ASSURED, IPVS_SHIFT, SEEN_REPLY, STATE_MASK } from "./tables/entry";

/** TCP's bits of an entry's marks: class (8-10) and direction of the last segment. */
export const CLASS_SHIFT: u32 = 8;
export const CLASS_MASK: u32 = 7 << CLASS_SHIFT;
export const DIRECTION_SHIFT: u32 = 11;
export const DIRECTION_BIT: u32 = 1 << DIRECTION_SHIFT;
/** Flags of the original direction; those of the reply direction are four bits above. */
export const CLOSE_INIT: u32 = 1 << 12;
export const MAX_ACK_KNOWN: u32 = 1 << 13;
export const UNACKNOWLEDGED: u32 = 1 << 14;
export const END_KNOWN: u32 = 1 << 15;
export const DIRECTION_FLAGS: u32 = CLOSE_INIT | MAX_ACK_KNOWN | UNACKNOWLEDGED | END_KNOWN;
/** Flags of the last SYN. */
export const CHALLENGE_EXPECTED: u32 = 1 << 20;
export const SIMULTANEOUS_OPEN: u32 = 1 << 21;
export const LAST_FLAGS: u32 = CHALLENGE_EXPECTED | SIMULTANEOUS_OPEN;
/** Times that the last ACK was repeated, up to three. */
export const REPEATED_SHIFT: u32 = 22;
export const REPEATED_MASK: u32 = 3 << REPEATED_SHIFT;
/** The last window was not 0. */
export const WINDOW_OPEN: u32 = 1 << 28;
/** All that a new beginning clears. */
export const FOLLOWED: u32 = STATE_MASK | CLASS_MASK | DIRECTION_BIT | DIRECTION_FLAGS |
  (DIRECTION_FLAGS << 4) | LAST_FLAGS | REPEATED_MASK;

// @ts-ignore: decorator
@inline
export function after(a: u32, b: u32): bool {
  return <i32>(a - b) > 0;
}

/** A flag as it is for a direction. */
// @ts-ignore: decorator
@inline
export function flagOf(direction: u32, flag: u32): u32 {
  return flag << (direction << 2);
}

// @ts-ignore: decorator
@inline
export function lastClass(marks: u32): u32 {
  return (marks & CLASS_MASK) >> CLASS_SHIFT;
}

// @ts-ignore: decorator
@inline
export function lastDirection(marks: u32): u32 {
  return (marks & DIRECTION_BIT) >> DIRECTION_SHIFT;
}

/** Marks with the state, class and direction of the segment that counts now. */
// @ts-ignore: decorator
@inline
export function remember(marks: u32, class_: u32, direction: u32): u32 {
  return (marks & ~(CLASS_MASK | DIRECTION_BIT)) | (class_ << CLASS_SHIFT) |
    (direction << DIRECTION_SHIFT);
}

/** 16 bits for what else tells a repeated ACK: wrong once in 65536, and it takes three. */
// @ts-ignore: decorator
@inline
export function digest(seq: u32, ack: u32, window: u32): u16 {
  return <u16>((seq * 0x9e3779b1 + ack * 0x85ebca77 + window * 0xc2b2ae3d) >> 16);
}

/** Marks of a connection in the middle of its life, for conntrack and IPVS alike. */
export const SETTLED_MASK: u32 = STATE_MASK | SEEN_REPLY | ASSURED | MAX_ACK_KNOWN | END_KNOWN |
  (MAX_ACK_KNOWN << 4) | (END_KNOWN << 4) | (15 << IPVS_SHIFT);
export const SETTLED: u32 = 3 | SEEN_REPLY | ASSURED | MAX_ACK_KNOWN | END_KNOWN | (MAX_ACK_KNOWN << 4) |
  (END_KNOWN << 4) | (1 << IPVS_SHIFT);
