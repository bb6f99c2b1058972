/** UDP connection tracking: nf_conntrack_proto_udp.c. */

import { now } from "./clock";
import { ASSURED, Entry, keepFor, REPLY, SEEN_REPLY, udpOf } from "./tables/entry";
import { UDP, UDP_STREAM } from "./timeouts";

/** Traffic both ways for so long makes a stream; a single question and answer doesn't. */
const STREAM_AFTER: u32 = 2000;

/** Sets up a new entry. */
export function begin(e: Entry): void {
  udpOf(e).streamAt = <u32>now + STREAM_AFTER;
  keepFor(e, UDP);
}

/** Takes note of a datagram in either direction; `marks` are the entry's. */
// @ts-ignore: decorator
@inline
export function track(e: Entry, marks: u32, direction: u32): void {
  let timeout = UDP;
  if ((marks & ASSURED) != 0) timeout = UDP_STREAM;
  else {
    const stream = (marks & SEEN_REPLY) != 0 && <i32>(<u32>now - udpOf(e).streamAt) > 0;
    if (stream) timeout = UDP_STREAM;
    const next = marks | (stream ? ASSURED : 0) | (direction == REPLY ? SEEN_REPLY : 0);
    if (next != marks) e.marks = next;
  }
  keepFor(e, timeout);
}
