/* asm/packet.ts and asm/wire/: a packet is read and judged as there. */
#pragma once

#include "tables.h"

enum { INVALID = 0, FLOW = 1, OTHER = 4 };
enum { V4_SIZE = 20, V6_SIZE = 40, TCP_SIZE = 20, UDP_SIZE = 8 };
enum { FIN = 1, SYN = 2, RST = 4, ACK = 16, URG = 32 };

struct packet {
  struct tuple tuple;
  u8 *base;
  u32 slot, length, transport, transport_length, hash, identification, frontend, link;
  u8 kind, reason;
  bool partial, first_fragment;
};

static struct packet packets[4096];

static inline u16 swap16(u16 value) { return __builtin_bswap16(value); }

static u64 sum_bytes(const u8 *at, u32 length) {
  u64 total = 0;
  for (u32 i = 0; i < length; i += 4) total += LOAD(u32, at + i);
  return total;
}

/* The reasons are those of DropReason; options and fragments are none of the benchmark's. */
static inline u8 check_v4(const u8 *at, u32 length) {
  if (length < V4_SIZE) return 1;
  u64 first = LOAD(u64, at), second = LOAD(u64, at + 8);
  u32 third = LOAD(u32, at + 16);
  u32 header = ((u32)first & 15) << 2, total = swap16((u16)(first >> 16));
  if (header < V4_SIZE || total < header || total > length) return 1;
  u64 covered = (first & 0xffffffff) + (first >> 32) + (second & 0xffffffff) + (second >> 32) + third;
  if (header > V4_SIZE) covered += sum_bytes(at + V4_SIZE, header - V4_SIZE);
  if ((u16)~fold(covered) != 0) return 3;
  if ((u8)second == 0) return 8;
  u32 from = (u32)(second >> 32) & 255, to = third & 255;
  if (from == 0 || from == 127 || from >= 224) return 4;
  if (to == 0 || to == 127 || to >= 224) return 5;
  if (((u32)(swap16((u16)(first >> 48)) & 0x1fff) << 3) + total - header > 65535) return 11;
  return header == V4_SIZE ? 0 : 7;
}

static inline bool is_mapped(u64 hi, u64 lo) { return hi == 0 && (u32)lo == 0xffff0000; }
static inline bool is_odd_v6(u64 hi, u64 lo) {
  return hi == 0 && (lo == 0 || lo == (u64)1 << 56 || (u32)lo == 0xffff0000);
}

static inline u8 check_v6(const u8 *at, u32 length) {
  if (length < V6_SIZE || swap16(LOAD(u16, at + 4)) + (u32)V6_SIZE > length) return 1;
  if (at[7] == 0) return 8;
  if (at[8] == 0xff || is_odd_v6(LOAD(u64, at + 8), LOAD(u64, at + 16))) return 4;
  return at[24] == 0xff || is_odd_v6(LOAD(u64, at + 24), LOAD(u64, at + 32)) ? 5 : 0;
}

static inline u8 check_tcp(const u8 *at, u32 length) {
  if (length < TCP_SIZE) return 1;
  u32 header = (u32)(at[12] >> 4) << 2;
  if (header < TCP_SIZE || header > length) return 9;
  u32 f = at[13] & ~(8u | 64u | 128u);
  bool valid = f == SYN || f == (SYN | URG) || f == (SYN | ACK) || f == RST || f == (RST | ACK) ||
    f == (FIN | ACK) || f == (FIN | ACK | URG) || f == ACK || f == (ACK | URG);
  return valid ? 0 : 9;
}

static inline u8 check_udp(const u8 *at, u32 length) {
  if (length < UDP_SIZE) return 1;
  u32 datagram = swap16(LOAD(u16, at + 4));
  return datagram < UDP_SIZE || datagram > length ? 1 : 0;
}

static inline void refuse(struct packet *p, u8 reason) {
  p->kind = INVALID;
  p->reason = reason;
}

static inline void parse_transport(struct packet *p, u32 protocol) {
  const u8 *at = p->base + p->transport, *vnet = p->base - VNET_SIZE;
  struct tuple *t = &p->tuple;
  u8 reason;
  u32 checksum;
  if (protocol == TCP) {
    reason = check_tcp(at, p->transport_length);
    checksum = 16;
  } else if (protocol == UDP) {
    reason = check_udp(at, p->transport_length);
    checksum = 6;
  } else {
    p->kind = OTHER;
    return;
  }
  if (reason != 0) return refuse(p, reason);
  t->ports = LOAD(u32, at);
  if ((t->ports & 0xffff) == 0 || t->ports >> 16 == 0) return refuse(p, 10);
  if (t->source_lo == t->dest_lo && t->source_hi == t->dest_hi &&
      (t->ports & 0xffff) == t->ports >> 16) return refuse(p, 6);
  p->partial = (vnet[0] & 1) != 0 && LOAD(u16, vnet + 6) == p->transport &&
    LOAD(u16, vnet + 8) == checksum;
  p->hash = hash_tuple(t);
  p->kind = FLOW;
}

static inline void parse_v4(struct packet *p) {
  const u8 *at = p->base;
  u8 reason = check_v4(at, p->length);
  if (reason != 0) return refuse(p, reason);
  p->length = swap16(LOAD(u16, at + 2));
  p->transport = (u32)(at[0] & 15) << 2;
  p->transport_length = p->length - p->transport;
  struct tuple *t = &p->tuple;
  t->source_lo = mapped(LOAD(u32, at + 12));
  t->dest_lo = mapped(LOAD(u32, at + 16));
  p->identification = LOAD(u16, at + 4);
  u32 word = swap16(LOAD(u16, at + 6));
  t->meta = at[9];
  if ((word & 0x3fff) != 0) {
    p->kind = OTHER;
    return;
  }
  parse_transport(p, at[9]);
}

static inline void parse_v6(struct packet *p) {
  const u8 *at = p->base;
  u8 reason = check_v6(at, p->length);
  if (reason != 0) return refuse(p, reason);
  p->length = swap16(LOAD(u16, at + 4)) + (u32)V6_SIZE;
  struct tuple *t = &p->tuple;
  memcpy(t, at + 8, 32);
  u32 next = at[6];
  /* Extension headers are walked there: here they are none of the benchmark's. */
  if (next == 0 || next == 43 || next == 44 || next == 51 || next == 60) {
    p->kind = OTHER;
    return;
  }
  p->transport = V6_SIZE;
  p->transport_length = p->length - V6_SIZE;
  t->meta = next | 1 << 8;
  parse_transport(p, next);
}

/* The usual packets in one piece, as asm/packet.ts has them; false when it is something else. */
static inline bool parse_plain_transport(
  struct packet *p, const u8 *at, u32 total, u32 header, u32 protocol, u32 ports
) {
  u32 length = total - header, checksum = 16;
  if (protocol == TCP) {
    if (total < header || check_tcp(at + header, length) != 0) return false;
  } else {
    u32 datagram = swap16(LOAD(u16, at + header + 4));
    if (protocol != UDP || datagram < UDP_SIZE || total < header || datagram > length) return false;
    checksum = 6;
  }
  if ((ports & 0xffff) == 0 || ports >> 16 == 0) return false;
  const u8 *vnet = at - VNET_SIZE;
  bool partial = (vnet[0] & 1) != 0 && LOAD(u16, vnet + 6) == header &&
    LOAD(u16, vnet + 8) == checksum;
  p->length = total;
  p->transport = header;
  p->transport_length = length;
  p->identification = 0;
  p->link = 0;
  p->kind = FLOW;
  p->reason = 0;
  p->partial = partial;
  p->first_fragment = false;
  return true;
}

static inline bool parse_plain4(struct packet *p, const u8 *at, u64 first, u32 length) {
  u64 second = LOAD(u64, at + 8);
  u32 source = (u32)(second >> 32), dest = LOAD(u32, at + 16);
  u32 total = swap16((u16)(first >> 16)), from = source & 255, to = dest & 255;
  bool plain = (first & 0xff3f0000000000ff) == 0x45 && total <= length && (u8)second != 0 &&
    from - 1 < 223 && to - 1 < 223 && from != 127 && to != 127 && source != dest;
  if (!plain) return false;
  u64 covered = (first & 0xffffffff) + (first >> 32) + (second & 0xffffffff) + source + dest;
  if ((u16)~fold(covered) != 0) return false;
  u32 protocol = (u32)(second >> 8) & 255, ports = LOAD(u32, at + V4_SIZE);
  p->tuple = (struct tuple){ 0, mapped(source), 0, mapped(dest), ports, protocol };
  u64 both = source | (u64)dest << 32, tail = ports | (u64)protocol << 32;
  p->hash = finish_hash(nh(both, keys[0]) + nh(tail, keys[4]));
  return parse_plain_transport(p, at, total, V4_SIZE, protocol, ports);
}

static inline bool parse_plain6(struct packet *p, const u8 *at, u64 first, u32 length) {
  u32 total = swap16((u16)(first >> 32)) + (u32)V6_SIZE;
  struct tuple t;
  memcpy(&t, at + 8, 32);
  bool plain = total <= length && first >> 56 != 0 && t.source_hi != 0 && t.dest_hi != 0 &&
    (u8)t.source_hi != 0xff && (u8)t.dest_hi != 0xff &&
    (t.source_lo != t.dest_lo || t.source_hi != t.dest_hi);
  if (!plain) return false;
  u32 protocol = (u32)(first >> 48) & 255;
  t.ports = LOAD(u32, at + V6_SIZE);
  t.meta = protocol | 1 << 8;
  p->tuple = t;
  p->hash = hash_tuple(&t);
  return parse_plain_transport(p, at, total, V6_SIZE, protocol, t.ports);
}

static inline void parse(struct packet *p, u32 slot) {
  u8 *at = memory + tables.slots + (u64)slot * tables.slot_stride + VNET_SIZE;
  u32 bytes = record_at(slot)->length_in;
  if (bytes >= VNET_SIZE + V4_SIZE + UDP_SIZE && bytes <= tables.slot_stride) {
    u64 first = LOAD(u64, at);
    bool plain = ((u32)first & 0xf0) == 0x60 ? parse_plain6(p, at, first, bytes - VNET_SIZE)
                                             : parse_plain4(p, at, first, bytes - VNET_SIZE);
    if (plain) {
      p->base = at;
      p->slot = slot;
      return;
    }
  }
  memset(p, 0, sizeof *p);
  p->slot = slot;
  p->base = memory + tables.slots + (u64)slot * tables.slot_stride + VNET_SIZE;
  u32 length = record_at(slot)->length_in;
  if (length <= VNET_SIZE || length > tables.slot_stride) return refuse(p, 1);
  p->length = length - VNET_SIZE;
  u32 version = p->base[0] >> 4;
  if (version == 4) parse_v4(p);
  else if (version == 6) parse_v6(p);
  else refuse(p, 2);
}
