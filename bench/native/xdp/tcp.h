/* asm/tcp_state.ts, as far as segments in the middle of a connection need it. */
#pragma once

#include "program.h"

enum { FIN = 1, SYN = 2, RST = 4, ACK = 16 };

/* Marks of a connection. Those of the reply direction are one bit above the original one's. */
enum {
  SETTLED = 1 << 0,
  LAST_WAS_REPLY = 1 << 1,
  WINDOW_OPEN = 1 << 2,
  UNACKNOWLEDGED = 1 << 3,
  REPEATED_SHIFT = 5,
  REPEATED_MASK = 3 << REPEATED_SHIFT,
};

enum { ESTABLISHED_S = 432000, DOUBTFUL_S = 300, JIFFIES_PER_S = 250 };

/* State that both directions share; the last two fields are of the last ACK. */
struct connection {
  u32 marks, expires_at;
  u32 end[2], max_ack[2];
  u32 last_end, digest;
};

struct tcp_header { u16 source, dest; u32 seq, ack; u8 offset, flags; u16 window, checksum, urgent; };

INLINE int after(u32 a, u32 b) { return (int)(a - b) > 0; }

INLINE u32 follow_ack(struct connection *c, u32 marks, u32 seq, u32 ack, u32 end, u32 window, u32 last) {
  u32 digest = (seq * 0x9e3779b1u + ack * 0x85ebca77u + window * 0xc2b2ae3du) >> 16;
  if ((marks & LAST_WAS_REPLY) == last && c->digest == digest && c->last_end == end) {
    return (marks & REPEATED_MASK) == REPEATED_MASK ? marks : marks + (1 << REPEATED_SHIFT);
  }
  c->digest = digest;
  c->last_end = end;
  marks &= ~(REPEATED_MASK | WINDOW_OPEN);
  return window != 0 ? marks | WINDOW_OPEN : marks;
}

/* Follows a plain ACK of `length` bytes with its header; 0 when the segment is something else. */
INLINE int track(struct connection *c, u32 direction, const struct tcp_header *tcp, u32 length) {
  u32 marks = c->marks, flags = tcp->flags & (SYN | FIN | RST | ACK);
  if (!(marks & SETTLED) || flags != ACK) return 0;
  u32 peer = 1 - direction, seq = swap32(tcp->seq), ack = swap32(tcp->ack);
  u32 end = seq + length - (tcp->offset >> 4 << 2);
  u32 sent = peer ? c->end[1] : c->end[0], own = peer ? c->end[0] : c->end[1];
  u32 acked = peer ? c->max_ack[0] : c->max_ack[1];
  if (after(end, own)) {
    if (peer) c->end[0] = end;
    else c->end[1] = end;
    marks |= UNACKNOWLEDGED << direction;
  }
  if (after(ack, acked) && !after(ack, sent)) {
    if (peer) c->max_ack[0] = ack;
    else c->max_ack[1] = ack;
  }
  if (ack == sent) marks &= ~(UNACKNOWLEDGED << peer);
  u32 last = direction ? LAST_WAS_REPLY : 0;
  marks = follow_ack(c, marks, seq, ack, end, swap16(tcp->window), last);
  marks = (marks & ~LAST_WAS_REPLY) | last;
  int unsure = (marks & (UNACKNOWLEDGED * 3)) != 0 || !(marks & WINDOW_OPEN) ||
    (marks & REPEATED_MASK) == REPEATED_MASK;
  c->expires_at = (u32)jiffies() + (unsure ? DOUBTFUL_S : ESTABLISHED_S) * JIFFIES_PER_S;
  c->marks = marks;
  return 1;
}
