/** UDP connection tracking: nf_conntrack_proto_udp.c. */

import { now } from "./clock";
import { ASSURED, Entry, has, SEEN_REPLY } from "./tables/conntrack";
import { UDP, UDP_STREAM } from "./timeouts";

/** Traffic both ways for so long makes a stream; a single question and answer doesn't. */
const STREAM_AFTER: u64 = 2000;

/** Sets up a new entry. */
export function begin(e: Entry): void {
  e.streamAt = now + STREAM_AFTER;
  e.expiresAt = now + UDP;
}

/** Takes note of a datagram in either direction. */
export function track(e: Entry): void {
  let timeout = UDP;
  if (has(e, SEEN_REPLY) && now > e.streamAt) {
    timeout = UDP_STREAM;
    e.status |= ASSURED;
  }
  e.expiresAt = now + timeout;
}
