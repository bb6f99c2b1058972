/* asm/tcp_state.ts and ipvs_state.ts */
#pragma once

#include "conntrack.h"
#include "packet.h"

enum { ACCEPT, REFUSE, REOPEN, ACCEPT_LAST };
enum { NO, SS, SR, ES, FW, CW, LA, TW, CL, S2, iv, ig };
enum { C_SYN, C_SYNACK, C_FIN, C_ACK, C_RST, C_NONE };

static const u8 TRANSITIONS[2][6][10] = {
  { { SS, SS, ig, ig, ig, ig, ig, SS, SS, S2 }, { iv, iv, SR, iv, iv, iv, iv, iv, iv, SR },
    { iv, iv, FW, FW, LA, LA, LA, TW, CL, iv }, { ES, iv, ES, ES, CW, CW, TW, TW, CL, iv },
    { iv, CL, CL, CL, CL, CL, CL, CL, CL, CL }, { iv, iv, iv, iv, iv, iv, iv, iv, iv, iv } },
  { { iv, S2, iv, iv, iv, iv, iv, SS, iv, S2 }, { iv, SR, ig, ig, ig, ig, ig, ig, ig, SR },
    { iv, iv, FW, FW, LA, LA, LA, TW, CL, iv }, { iv, ig, SR, ES, CW, CW, TW, TW, CL, ig },
    { iv, CL, CL, CL, CL, CL, CL, CL, CL, CL }, { iv, iv, iv, iv, iv, iv, iv, iv, iv, iv } },
};

#define CLASS_SHIFT 8
#define CLASS_MASK (7u << CLASS_SHIFT)
#define DIRECTION_BIT (1u << 11)
#define CLOSE_INIT (1u << 12)
#define MAX_ACK_KNOWN (1u << 13)
#define UNACKNOWLEDGED (1u << 14)
#define END_KNOWN (1u << 15)
#define DIRECTION_FLAGS (CLOSE_INIT | MAX_ACK_KNOWN | UNACKNOWLEDGED | END_KNOWN)
#define CHALLENGE_EXPECTED (1u << 20)
#define SIMULTANEOUS_OPEN (1u << 21)
#define LAST_FLAGS (CHALLENGE_EXPECTED | SIMULTANEOUS_OPEN)
#define REPEATED_SHIFT 22
#define REPEATED_MASK (3u << REPEATED_SHIFT)
#define WINDOW_OPEN (1u << 28)
#define FOLLOWED (STATE_MASK | CLASS_MASK | DIRECTION_BIT | DIRECTION_FLAGS | \
                  DIRECTION_FLAGS << 4 | LAST_FLAGS | REPEATED_MASK)
#define SETTLED_MASK (STATE_MASK | SEEN_REPLY | ASSURED | MAX_ACK_KNOWN | END_KNOWN | \
                      MAX_ACK_KNOWN << 4 | END_KNOWN << 4 | 15u << IPVS_SHIFT)
#define SETTLED (ES | SEEN_REPLY | ASSURED | MAX_ACK_KNOWN | END_KNOWN | \
                 MAX_ACK_KNOWN << 4 | END_KNOWN << 4 | 1u << IPVS_SHIFT)
#define TCP_DOUBTFUL 300000u

static inline bool after(u32 a, u32 b) { return (int32_t)(a - b) > 0; }
static inline u32 of(u32 direction, u32 flag) { return flag << (direction << 2); }
static inline u32 last_class(u32 marks) { return (marks & CLASS_MASK) >> CLASS_SHIFT; }
static inline u32 last_direction(u32 marks) { return (marks & DIRECTION_BIT) != 0; }
static inline u32 remember(u32 marks, u32 class, u32 direction) {
  return (marks & ~(CLASS_MASK | DIRECTION_BIT)) | class << CLASS_SHIFT | direction << 11;
}
static inline u16 digest(u32 seq, u32 ack, u32 window) {
  return (u16)((seq * 0x9e3779b1u + ack * 0x85ebca77u + window * 0xc2b2ae3du) >> 16);
}
static inline u32 tcp_timeout(u32 state) { return AT(u32, tables.tcp_timeouts, 0)[state]; }

static inline u32 sequence(const u8 *at) { return __builtin_bswap32(LOAD(u32, at + 4)); }
static inline u32 acknowledgment(const u8 *at) { return __builtin_bswap32(LOAD(u32, at + 8)); }
static inline u32 window(const u8 *at) { return swap16(LOAD(u16, at + 14)); }
static inline u32 header_length(const u8 *at) { return (u32)(at[12] >> 4) << 2; }
static inline u32 segment_end(const u8 *at, u32 length) {
  u32 f = at[13];
  return sequence(at) + length - header_length(at) + (f & SYN ? 1 : 0) + (f & FIN ? 1 : 0);
}
static inline u32 classify(u32 f) {
  if (f & RST) return C_RST;
  if (f & SYN) return f & ACK ? C_SYNACK : C_SYN;
  if (f & FIN) return C_FIN;
  return f & ACK ? C_ACK : C_NONE;
}

static inline u32 follow_ack(
  struct entry *e, u32 marks, u32 direction, u32 seq, u32 ack, u32 end, const u8 *at
) {
  u32 w = window(at);
  u16 mark = digest(seq, ack, w);
  if (last_direction(marks) == direction && e->digest == mark && e->tcp.last_end == end) {
    return (marks & REPEATED_MASK) == REPEATED_MASK ? marks : marks + (1u << REPEATED_SHIFT);
  }
  e->digest = mark;
  e->tcp.last_end = end;
  marks &= ~(REPEATED_MASK | WINDOW_OPEN);
  return w != 0 ? marks | WINDOW_OPEN : marks;
}

static inline bool track_plain(struct entry *e, u32 direction, const u8 *at, u32 length) {
  u32 marks = e->marks, word = LOAD(u32, at + 12);
  u32 f = (word >> 8) & (SYN | FIN | RST | ACK);
  if ((marks & SETTLED_MASK) != SETTLED || f != ACK) return false;
  u32 seq = sequence(at), ack = acknowledgment(at), end = seq + length - ((word & 0xf0) >> 2);
  u32 peer = 1 - direction, sent = e->tcp.end[peer];
  if (after(end, e->tcp.end[direction])) {
    e->tcp.end[direction] = end;
    marks |= of(direction, UNACKNOWLEDGED);
  }
  if (after(ack, e->tcp.max_ack[direction]) && !after(ack, sent)) e->tcp.max_ack[direction] = ack;
  if (ack == sent) marks &= ~of(peer, UNACKNOWLEDGED);
  marks = remember(follow_ack(e, marks, direction, seq, ack, end, at), C_ACK, direction);
  u32 timeout = tcp_timeout(ES);
  bool unsure = (marks & (UNACKNOWLEDGED | UNACKNOWLEDGED << 4)) != 0 ||
    (marks & WINDOW_OPEN) == 0 || (marks & REPEATED_MASK) == REPEATED_MASK;
  if (unsure && timeout > TCP_DOUBTFUL) timeout = TCP_DOUBTFUL;
  e->marks = marks;
  keep_for(e, timeout);
  return true;
}

static u32 follow(
  struct entry *e, u32 marks, u32 direction, u32 class, u32 old, const u8 *at, u32 length
) {
  u32 f = at[13], peer = 1 - direction;
  u32 seq = sequence(at), end = segment_end(at, length), ack = acknowledgment(at);
  bool reset = (f & RST) != 0;
  if ((marks & of(direction, END_KNOWN)) == 0) {
    marks |= of(direction, END_KNOWN);
    e->tcp.end[direction] = end;
    if ((f & SYN) == 0 && (marks & of(peer, END_KNOWN)) == 0) e->tcp.end[peer] = ack;
  } else if ((f & SYN) != 0 && (old == SS || old == SR)) {
    if (after(end, e->tcp.end[direction])) e->tcp.end[direction] = end;
  } else if (!reset && after(end, e->tcp.end[direction])) {
    e->tcp.end[direction] = end;
    marks |= of(direction, UNACKNOWLEDGED);
  }
  if ((f & ACK) != 0 && !(reset && ack == 0)) {
    u32 sent = e->tcp.end[peer];
    bool plausible = (marks & of(peer, END_KNOWN)) == 0 || !after(ack, sent);
    bool newer = (marks & of(direction, MAX_ACK_KNOWN)) == 0 ||
      after(ack, e->tcp.max_ack[direction]);
    if (plausible && newer) {
      e->tcp.max_ack[direction] = ack;
      marks |= of(direction, MAX_ACK_KNOWN);
    }
    if (ack == sent) marks &= ~of(peer, UNACKNOWLEDGED);
  }
  return class == C_ACK ? follow_ack(e, marks, direction, seq, ack, end, at) : marks;
}

static inline u32 judge_reset(
  struct entry *e, u32 marks, u32 direction, u32 old, const u8 *at
) {
  if (old >= FW && old <= CL) return CL;
  u32 peer = 1 - direction, seq = sequence(at);
  if ((marks & of(peer, MAX_ACK_KNOWN)) == 0 || last_class(marks) == C_SYN) return CL;
  if (seq == 0 && old != ES) return CL;
  u32 acknowledged = e->tcp.max_ack[peer];
  if (after(acknowledged, seq)) return iv;
  if (old != ES || seq == acknowledged) return CL;
  bool ends_train = last_class(marks) == C_ACK && last_direction(marks) == direction &&
    seq == e->tcp.last_end;
  return ends_train ? CL : old;
}

static inline u32 refresh(struct entry *e, u32 marks, u32 class, u32 old, u32 next) {
  u32 timeout = tcp_timeout(next), result = ACCEPT;
  bool repeated = (marks & REPEATED_MASK) == REPEATED_MASK && timeout > TCP_DOUBTFUL;
  if (class == C_RST && !repeated) {
    timeout = tcp_timeout(CL);
  } else if (timeout > TCP_DOUBTFUL) {
    bool unacknowledged = (marks & (UNACKNOWLEDGED | UNACKNOWLEDGED << 4)) != 0;
    if (repeated || unacknowledged || (marks & WINDOW_OPEN) == 0) timeout = TCP_DOUBTFUL;
  }
  if ((marks & SEEN_REPLY) == 0) {
    if (class == C_RST) result = ACCEPT_LAST;
    else if (next == ES && timeout > TCP_DOUBTFUL) timeout = TCP_DOUBTFUL;
    if (class == C_RST || (class == C_SYN && old == SS)) {
      e->marks = marks;
      return result;
    }
  } else if ((marks & ASSURED) == 0 && (old == SR || old == ES) && next == ES) {
    marks |= ASSURED;
  }
  e->marks = marks;
  keep_for(e, timeout);
  return result;
}

static void begin_tcp(struct entry *e, const u8 *at, u32 length) {
  u32 class = classify(at[13]), state = TRANSITIONS[ORIGINAL][class][NO];
  u32 marks = follow(e, e->marks & ~FOLLOWED, ORIGINAL, class, state, at, length);
  e->marks = remember(marks, class, ORIGINAL) | state;
  u32 timeout = tcp_timeout(state);
  keep_for(e, state == ES && timeout > TCP_DOUBTFUL ? TCP_DOUBTFUL : timeout);
}

static u32 track(struct entry *e, u32 direction, const u8 *at, u32 length) {
  u32 class = classify(at[13]), marks = e->marks, old = marks & STATE_MASK;
  u32 next = TRANSITIONS[direction][class][old];
  if (next == SS && old >= TW) {
    bool closing = (marks & (CLOSE_INIT | CLOSE_INIT << 4)) != 0 ||
      (last_direction(marks) == direction && last_class(marks) == C_RST);
    if (closing) return REOPEN;
    next = ig;
  }
  if (next == ig) {
    bool acknowledges = class == C_SYNACK && last_class(marks) == C_SYN &&
      last_direction(marks) != direction && acknowledgment(at) == e->tcp.last_end;
    if (!acknowledges) {
      u32 w = window(at);
      marks = remember(marks, class, direction) & ~WINDOW_OPEN;
      if (w != 0) marks |= WINDOW_OPEN;
      if (class == C_SYN && direction == ORIGINAL) {
        marks &= ~LAST_FLAGS;
        if (old == LA) marks |= CHALLENGE_EXPECTED;
      }
      e->marks = marks;
      e->digest = digest(sequence(at), acknowledgment(at), w);
      e->tcp.last_end = segment_end(at, length);
      return ACCEPT;
    }
    u32 other = 1 - direction;
    e->tcp.end[other] = e->tcp.last_end;
    e->tcp.end[direction] = 0;
    marks &= ~(DIRECTION_FLAGS | DIRECTION_FLAGS << 4 | LAST_FLAGS);
    marks |= of(other, END_KNOWN);
    old = SS;
    next = SR;
  }
  if (next == iv) return REFUSE;
  bool challenge = old == LA && class == C_ACK && last_direction(marks) != direction &&
    last_class(marks) == C_SYN && (marks & CHALLENGE_EXPECTED) != 0;
  if (next == TW && challenge) {
    e->marks = marks & ~CHALLENGE_EXPECTED;
    return ACCEPT;
  }
  if (next == S2) marks |= SIMULTANEOUS_OPEN;
  bool opening = class == C_ACK && direction == REPLY && (marks & SIMULTANEOUS_OPEN) != 0;
  if (next == SR && opening) next = ES;
  if (next == CL && class == C_RST) {
    next = judge_reset(e, marks, direction, old, at);
    if (next == iv) return REFUSE;
  }
  marks = follow(e, marks, direction, class, old, at, length);
  marks = (remember(marks, class, direction) & ~(u32)STATE_MASK) | next;
  if (old != next && next == FW) marks |= of(direction, CLOSE_INIT);
  return refresh(e, marks, class, old, next);
}

/* IPVS' states: NO ES SS SR FW TW CL CW LA LI SA; events SYN, FIN, ACK, RST. */
static const u8 IPVS[2][4][11] = {
  { { 3, 1, 1, 3, 3, 3, 3, 3, 3, 3, 3 }, { 6, 7, 2, 5, 5, 5, 6, 7, 8, 9, 5 },
    { 1, 1, 2, 1, 4, 5, 6, 7, 6, 9, 1 }, { 6, 6, 6, 3, 6, 6, 6, 6, 8, 9, 3 } },
  { { 2, 1, 2, 3, 2, 2, 2, 2, 2, 9, 3 }, { 5, 4, 2, 5, 4, 5, 6, 5, 8, 9, 5 },
    { 1, 1, 2, 1, 4, 5, 6, 7, 8, 1, 1 }, { 6, 6, 2, 6, 6, 5, 6, 6, 6, 6, 6 } },
};

static inline u32 ipvs_after(u32 state, u32 direction, u32 f) {
  u32 event = f & RST ? 3 : f & SYN ? 0 : f & FIN ? 1 : f & ACK ? 2 : 4;
  return event == 4 ? 6 : IPVS[direction][event][state];
}
static inline bool is_active(u32 state) { return state == 1 || state == 2 || state == 3 || state == 10; }

static inline void begin_ipvs(struct entry *e, u32 f) {
  u32 state = ipvs_after(0, ORIGINAL, f);
  e->marks = (e->marks & ~(15u << IPVS_SHIFT)) | state << IPVS_SHIFT;
  if (is_active(state)) e->marks |= ACTIVE;
}

static inline void track_ipvs(struct entry *e, u32 direction, u32 f) {
  u32 old = (e->marks >> IPVS_SHIFT) & 15, next = ipvs_after(old, direction, f);
  if (next == old) return;
  e->marks = (e->marks & ~(15u << IPVS_SHIFT)) | next << IPVS_SHIFT;
  bool active = is_active(next);
  if (((e->marks & ACTIVE) != 0) == active) return;
  e->marks ^= ACTIVE;
  struct backend *b = backend_at(backend_of(e));
  if (active) b->active++;
  else b->active--;
  load_changed(b);
}
