/* asm/tables/entry.ts and conntrack.ts */
#pragma once

#include "index.h"

enum { ORIGINAL = 0, REPLY = 1 };
enum { STATE_MASK = 15, SEEN_REPLY = 1 << 4, ASSURED = 1 << 5, IN_USE = 1 << 6 };
#define ACTIVE (1u << 29)
enum { IPVS_SHIFT = 24, BACKEND_BITS = 24, BACKEND_MASK = (1 << 24) - 1 };
enum { KIND_TCP = 1, KIND_UDP = 2, KIND_V6 = 4, KIND_MASK = 7, MASQUERADE_SHIFT = 27 };
#define LONGEST 0xf0000000u

static inline u32 backend_of(const struct entry *e) { return e->owner & BACKEND_MASK; }
static inline u32 masquerade_of(const struct entry *e) { return e->owner >> MASQUERADE_SHIFT; }
static inline u32 kind_of(const struct entry *e) { return (e->owner >> BACKEND_BITS) & KIND_MASK; }
static inline bool is_v6(const struct entry *e) { return (kind_of(e) & KIND_V6) != 0; }
static inline struct addresses *addresses_of(const struct entry *e) {
  return (struct addresses *)entry_at(e->source);
}
static inline u32 kind_of_tuple(const struct tuple *t) {
  return ((t->meta & 0xff) == TCP ? KIND_TCP : KIND_UDP) | t->meta >> 8 << 2;
}
static inline void keep_for(struct entry *e, u32 ms) { e->expires_at = (u32)now + ms; }
static inline u32 time_left(const struct entry *e) {
  u32 left = e->expires_at - (u32)now;
  return left <= LONGEST ? left : 0;
}

static void tuple_of(const struct entry *e, u32 direction, struct tuple *t) {
  bool v6 = is_v6(e);
  struct addresses *a = addresses_of(e);
  u64 source_hi = v6 ? a->source_hi : 0, source_lo = v6 ? a->source_lo : mapped(e->source);
  t->meta = ((kind_of(e) & 3) == KIND_TCP ? TCP : UDP) | (u32)v6 << 8;
  if (direction == ORIGINAL) {
    *t = (struct tuple){ source_hi, source_lo, v6 ? a->dest_hi : 0,
                         v6 ? a->dest_lo : mapped(e->dest), e->ports, t->meta };
    return;
  }
  struct backend *b = backend_at(backend_of(e));
  u32 number = masquerade_of(e);
  *t = (struct tuple){ b->address_hi, b->address_lo,
                       number == 0 ? source_hi : masquerade_at(number)->hi,
                       number == 0 ? source_lo : masquerade_at(number)->lo,
                       b->port | (u32)e->reply_port << 16, t->meta };
}

static inline bool leads_to(u32 link, const struct tuple *t, u32 kind) {
  const struct entry *e = entry_at(link >> 1);
  if (kind_of(e) != kind || !(e->marks & IN_USE)) return false;
  if ((link & 1) == ORIGINAL) {
    if (e->ports != t->ports) return false;
    if (kind < KIND_V6) {
      return e->source == (u32)(t->source_lo >> 32) && e->dest == (u32)(t->dest_lo >> 32);
    }
    const struct addresses *a = addresses_of(e);
    return a->source_lo == t->source_lo && a->dest_lo == t->dest_lo &&
      a->source_hi == t->source_hi && a->dest_hi == t->dest_hi;
  }
  const struct backend *b = backend_at(backend_of(e));
  if (t->ports != (b->port | (u32)e->reply_port << 16) || b->address_lo != t->source_lo) {
    return false;
  }
  u32 number = masquerade_of(e);
  if (number != 0) {
    const struct masquerade_address *m = masquerade_at(number);
    return m->lo == t->dest_lo && m->hi == t->dest_hi && b->address_hi == t->source_hi;
  }
  if (kind < KIND_V6) return e->source == (u32)(t->dest_lo >> 32);
  const struct addresses *a = addresses_of(e);
  return a->source_lo == t->dest_lo && a->source_hi == t->dest_hi &&
    b->address_hi == t->source_hi;
}

static void load_changed(struct backend *b) {
  if (b->service_port == 0) return;
  struct service_port *s = AT(struct service_port, tables.service_ports, b->service_port);
  if (s->pools[0].leaves != 0 || s->pools[1].leaves != 0) __builtin_trap();
}

static inline void join(struct entry *e, u32 id) {
  struct backend *b = backend_at(backend_of(e));
  if ((kind_of(e) & 3) == KIND_UDP) {
    e->udp.before = 0;
    e->udp.after = b->entries;
    if (b->entries != 0) entry_at(b->entries)->udp.before = id;
    b->entries = id;
  }
  u32 number = masquerade_of(e);
  if (number != 0) masquerade_at(number)->users++;
  b->total++;
  if (e->marks & ACTIVE) b->active++;
  b->connections++;
  load_changed(b);
}

static inline void leave(struct entry *e) {
  struct backend *b = backend_at(backend_of(e));
  if ((kind_of(e) & 3) == KIND_UDP) {
    if (e->udp.before != 0) entry_at(e->udp.before)->udp.after = e->udp.after;
    else b->entries = e->udp.after;
    if (e->udp.after != 0) entry_at(e->udp.after)->udp.before = e->udp.before;
  }
  u32 number = masquerade_of(e);
  if (number != 0) masquerade_at(number)->users--;
  b->total--;
  if (e->marks & ACTIVE) b->active--;
  load_changed(b);
}

static inline u32 take_place(void) {
  struct places *p = places();
  u32 id = p->free;
  if (id != 0) p->free = entry_at(id)->source;
  else id = ++p->used;
  p->taken++;
  memset(entry_at(id), 0, sizeof(struct entry));
  return id;
}

/* asm/tables/beginnings.ts */
static inline void set_beginning(u32 id) {
  u32 units = (u32)(now >> 10);
  memcpy(AT(u8, tables.beginnings, id * 3), &units, 3);
}

static inline void give_place(u32 id) {
  struct places *p = places();
  struct entry *e = entry_at(id);
  e->owner = 0;
  e->marks = 0;
  e->source = p->free;
  p->free = id;
  p->taken--;
}

/* The id of a new entry, or 0: the table is full. */
static inline u32 take(const struct tuple *t, u32 hash) {
  bool v6 = t->meta >> 8 != 0;
  if (places()->taken + (v6 ? 2 : 1) > capacity) return 0;
  u32 id = take_place();
  set_beginning(id);
  struct entry *e = entry_at(id);
  e->owner = kind_of_tuple(t) << BACKEND_BITS;
  e->ports = t->ports;
  if (!v6) {
    e->source = (u32)(t->source_lo >> 32);
    e->dest = (u32)(t->dest_lo >> 32);
    return id;
  }
  e->source = take_place();
  e->dest = hash;
  *addresses_of(e) = (struct addresses){ t->source_hi, t->source_lo, 0, 0, t->dest_hi, t->dest_lo };
  return id;
}

static inline void give_back(u32 id) {
  if (is_v6(entry_at(id))) give_place(entry_at(id)->source);
  give_place(id);
}

static inline void insert(u32 id, u32 original_hash, u32 reply_hash) {
  struct entry *e = entry_at(id);
  e->marks |= IN_USE;
  add_link(original_hash, id << 1);
  add_link(reply_hash, id << 1 | REPLY);
  join(e, id);
  places()->live++;
  count(CREATED, 1);
}

static void remove_entry(u32 id) {
  struct entry *e = entry_at(id);
  struct tuple original, reply;
  tuple_of(e, ORIGINAL, &original);
  tuple_of(e, REPLY, &reply);
  remove_link(is_v6(e) ? e->dest : hash_tuple(&original), id << 1);
  remove_link(hash_tuple(&reply), id << 1 | REPLY);
  leave(e);
  give_back(id);
  places()->live--;
}

/* The link to the entry with a tuple, or 0. */
static u32 find(const struct tuple *t, u32 hash) {
  u32 kind = kind_of_tuple(t), *bucket = bucket_of(hash);
  for (;;) {
    u32 found = compare(bucket, hash << tables.link_bits, ~link_mask());
    for (; found != 0; found &= found - 1) {
      u32 link = bucket[__builtin_ctz(found)] & link_mask();
      if (link == 0 || !leads_to(link, t, kind)) continue;
      if (time_left(entry_at(link >> 1)) != 0) return link;
      remove_entry(link >> 1);
      return 0;
    }
    if (bucket[PASSED] == 0) return 0;
    bucket = behind(bucket);
  }
}

static inline u32 find_likely(u32 link, const struct tuple *t, u32 hash) {
  bool right = link != 0 && leads_to(link, t, kind_of_tuple(t)) && time_left(entry_at(link >> 1));
  return right ? link : find(t, hash);
}
