/** UDP connection tracking: nf_conntrack_proto_udp.c. */

import { now } from "./clock";
import { ASSURED, Entry, keepFor, REPLY, SEEN_REPLY, udpOf } from "./tables/entry";
import * as timeouts from "./timeouts";

/** Traffic both ways for so long makes a stream; a single question and answer doesn't. */
const STREAM_AFTER: u32 = 2000;

/** Sets up a new entry. */
export function begin(e: Entry): void {
  udpOf(e).streamAt = <u32>now + STREAM_AFTER;
  keepFor(e, timeouts.udp);
}

/** Takes note of a datagram in either direction; `marks` are the entry's. */
// @ts-ignore: decorator
@inline
export function track(e: Entry, marks: u32, direction: u32): void {
  let timeout = timeouts.udp;
  if ((marks & ASSURED) != 0) timeout = timeouts.udpStream;
  else {
    const stream = (marks & SEEN_REPLY) != 0 && <i32>(<u32>now - udpOf(e).streamAt) > 0;
    if (stream) timeout = timeouts.udpStream;
    const next = marks | (stream ? ASSURED : 0) | (direction == REPLY ? SEEN_REPLY : 0);
    if (next != marks) e.marks = next;
  }
  keepFor(e, timeout);
}
