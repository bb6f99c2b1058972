/*
 * The native twin of the engine: the packet path of asm/ in C, over the same tables in the same
 * memory, with prefetch where the engine touches ahead. It has the benchmark's paths: TCP and UDP in
 * both families, masquerade, retries' bookkeeping, round robin. What it meets beyond that gets the
 * verdict UNSUPPORTED.
 */

#include "conntrack.h"
#include "packet.h"
#include "tcp.h"

enum { MASQUERADE_ALWAYS = 1, RETRY = 2 };

void attach(u8 *at, const u32 *list, const u64 *hash_keys, const u32 *numbers) {
  memory = at;
  memcpy(&tables, list, sizeof tables);
  memcpy(keys, hash_keys, sizeof keys);
  flags = numbers[0];
  first_port = numbers[1];
  last_port = numbers[2];
  capacity = numbers[3];
  kept_capacity = numbers[4];
  kept_hand = 0;
}

static inline void answer(u32 slot, u32 verdict, u32 detail, u32 length) {
  struct slot_record *r = record_at(slot);
  r->verdict = verdict;
  r->detail = detail;
  r->length_out = length;
}

static inline void drop(u32 slot, u32 reason) {
  answer(slot, DROP, reason, 0);
  AT(u64, tables.drops, 0)[reason]++;
}

/* asm/translate.ts */
static inline u64 rewrite_addresses(struct packet *p, const struct entry *e, u32 direction) {
  u8 *at = p->base;
  u32 number = masquerade_of(e);
  const struct backend *b = backend_at(backend_of(e));
  if (!is_v6(e)) {
    u32 from = e->dest, to = e->source;
    if (direction == ORIGINAL) {
      from = number == 0 ? e->source : (u32)(masquerade_at(number)->lo >> 32);
      to = (u32)(b->address_lo >> 32);
    }
    u64 old = (p->tuple.source_lo >> 32) + (p->tuple.dest_lo >> 32);
    u64 change = (u64)from + to + (0x1fffffffeu - old);
    STORE(u32, at + 12, from);
    STORE(u32, at + 16, to);
    STORE(u16, at + 10, update(LOAD(u16, at + 10), change));
    return change;
  }
  const struct addresses *a = addresses_of(e);
  if (direction == REPLY) {
    STORE(u64, at + 8, a->dest_hi);
    STORE(u64, at + 16, a->dest_lo);
    STORE(u64, at + 24, a->source_hi);
    STORE(u64, at + 32, a->source_lo);
    return ~a->delta & 0xffff;
  }
  if (number != 0) {
    STORE(u64, at + 8, masquerade_at(number)->hi);
    STORE(u64, at + 16, masquerade_at(number)->lo);
  }
  STORE(u64, at + 24, b->address_hi);
  STORE(u64, at + 32, b->address_lo);
  return a->delta;
}

static inline void rewrite_checksum(const struct packet *p, u8 *field, u64 addresses, u64 all) {
  u16 old = LOAD(u16, field);
  STORE(u16, field, p->partial ? update_partial(old, addresses) : update(old, all));
}

static inline void translate(struct packet *p, const struct entry *e, u32 direction) {
  u64 addresses = rewrite_addresses(p, e, direction);
  u8 *at = p->base + p->transport;
  u32 old = p->tuple.ports;
  u32 ports = direction == ORIGINAL
    ? e->reply_port | (u32)backend_at(backend_of(e))->port << 16
    : e->ports << 16 | e->ports >> 16;
  u64 change = addresses + ((u64)ports + (0xffffffffu - (u64)old));
  STORE(u32, at, ports);
  if ((p->tuple.meta & 0xff) == TCP) return rewrite_checksum(p, at + 16, addresses, change);
  if (!p->partial && LOAD(u16, at + 6) == 0) return;
  rewrite_checksum(p, at + 6, addresses, change);
  if (!p->partial && LOAD(u16, at + 6) == 0) STORE(u16, at + 6, 0xffff);
}

static inline void send(struct packet *p, struct entry *e, u32 direction, u32 detail) {
  struct backend *b = backend_at(backend_of(e));
  b->packets++;
  b->bytes += p->length;
  translate(p, e, direction);
  answer(p->slot, FORWARD, detail, p->length + VNET_SIZE);
  count(FORWARDED, 1);
}

/* asm/tables/networks.ts */
static bool list_contains(u32 list, u64 hi, u64 lo) {
  u32 place = list * 2 + (is_mapped(hi, lo) ? 0 : 1);
  struct network *n = AT(struct network, tables.networks, place * NETWORK_CAPACITY);
  for (u32 i = AT(u32, tables.network_counts, 0)[place]; i > 0; i--, n++) {
    if ((((n->base_hi ^ hi) & n->mask_hi) | ((n->base_lo ^ lo) & n->mask_lo)) == 0) return true;
  }
  return false;
}

static u32 source_class(u64 hi, u64 lo) {
  if (list_contains(LIST_PODS, hi, lo)) return 0;
  return list_contains(LIST_NODE, hi, lo) ? 1 : 2;
}

/* asm/tables/frontends.ts */
static inline u32 *frontend_head(u64 hi, u64 lo, u32 key) {
  return AT(u32, tables.frontend_heads, hash_address(hi, lo, key) & tables.frontend_mask);
}
static inline struct frontend *frontend_at(u32 id) {
  return AT(struct frontend, tables.frontends, id);
}
static u32 find_behind(u32 id, u64 hi, u64 lo, u32 key) {
  while (id != 0) {
    struct frontend *f = frontend_at(id);
    if (f->address_lo == lo && f->address_hi == hi && f->key == key) return id;
    id = f->next;
  }
  return 0;
}
static u32 find_frontend(u64 hi, u64 lo, u32 key) {
  return find_behind(*frontend_head(hi, lo, key), hi, lo, key);
}
static inline u32 dest_key(const struct tuple *t) { return t->ports >> 16 | t->meta << 16; }
static inline u32 source_key(const struct tuple *t) { return (t->ports & 0xffff) | t->meta << 16; }

static inline struct service_port *service_port_at(u32 id) {
  return AT(struct service_port, tables.service_ports, id);
}
static inline struct member *member_at(const struct pool *pool, u32 index) {
  return AT(struct member, pool->items, index);
}

/* asm/schedulers/rr.ts: the backend's id, or 0 */
static u32 pick(struct pool *pool) {
  for (u32 i = 0; i < pool->count; i++) {
    u32 index = (pool->position + i) % pool->count;
    if (member_at(pool, index)->weight == 0) continue;
    pool->position = index + 1;
    return member_at(pool, index)->backend;
  }
  return 0;
}

/* asm/nat.ts */
static inline u32 first_offset(u32 hash, u32 size) { return (u32)(((u64)hash * size) >> 32); }

static inline u64 sum_words(u64 hi, u64 lo) {
  return (hi & 0xffffffff) + (hi >> 32) + (lo & 0xffffffff) + (lo >> 32);
}
static inline u64 address_sum(const struct tuple *t) {
  if (t->meta >> 8 == 0) return (t->source_lo >> 32) + (t->dest_lo >> 32);
  return sum_words(t->source_hi, t->source_lo) + sum_words(t->dest_hi, t->dest_lo);
}

static inline void reply_tuple(
  struct tuple *r, const struct tuple *t, const struct backend *b, u32 number, u16 port
) {
  *r = (struct tuple){ b->address_hi, b->address_lo,
                       number == 0 ? t->source_hi : masquerade_at(number)->hi,
                       number == 0 ? t->source_lo : masquerade_at(number)->lo,
                       b->port | (u32)swap16(port) << 16, t->meta };
}

/* The benchmark's clients use ports outside the range, and find one at once. */
static inline u32 bind(
  struct entry *e, const struct tuple *t, u32 backend, bool masquerade, u32 hash, u32 *reply_hash
) {
  const struct backend *b = backend_at(backend);
  u32 number = masquerade ? present_address(t->meta >> 8) : 0;
  e->owner = (e->owner & ((u32)KIND_MASK << BACKEND_BITS)) | backend | number << MASQUERADE_SHIFT;
  if (masquerade && number == 0) return 24;
  u32 size = last_port - first_port + 1, offset = first_offset(hash, size);
  struct tuple r;
  u32 port = swap16((u16)t->ports);
  bool keep = !(masquerade && first_port != 0) || (port >= first_port && port <= last_port);
  for (u32 i = 0; i < 128; i++) {
    if (!keep || i > 0) port = first_port + (offset++) % size;
    reply_tuple(&r, t, b, number, (u16)port);
    *reply_hash = hash_tuple(&r);
    if (memcmp(&r, t, sizeof r) == 0 || find(&r, *reply_hash) != 0) continue;
    e->reply_port = swap16((u16)port);
    if (is_v6(e)) {
      u64 change = (u64)(~fold(address_sum(t)) & 0xffff) + fold(address_sum(&r));
      addresses_of(e)->delta = fold(change);
    }
    return 0;
  }
  return 23;
}

/* asm/tables/kept_syns.ts */
static inline bool is_waiting(const struct entry *e) {
  return (e->marks & (STATE_MASK | SEEN_REPLY | IN_USE)) == (SS | IN_USE) &&
    (kind_of(e) & 3) == KIND_TCP;
}

static void keep(struct entry *e, u32 id, const struct packet *p) {
  if (kept_capacity == 0 || p->length > LONGEST_SYN) return;
  kept_hand = kept_hand % kept_capacity + 1;
  struct kept_syn *k = AT(struct kept_syn, tables.kept_syns, kept_hand);
  struct entry *former = entry_at(k->entry);
  if (is_waiting(former) && former->tcp.max_ack[1] == kept_hand) former->tcp.max_ack[1] = 0;
  k->entry = id;
  k->length = p->length + VNET_SIZE;
  memcpy(k->bytes, p->base - VNET_SIZE, k->length);
  e->tcp.max_ack[1] = kept_hand;
}

/* asm/forward.ts */
static void handle_new(struct packet *p) {
  const struct tuple *t = &p->tuple;
  u32 class = source_class(t->source_hi, t->source_lo);
  u32 frontend = p->link == 0 ? p->frontend : find_frontend(t->dest_hi, t->dest_lo, dest_key(t));
  struct frontend *f = frontend_at(frontend);
  bool plain = frontend != 0 && f->range_count == 0xffffffff && (f->routes[class] & 7) == 0;
  if (!plain) return answer(p->slot, UNSUPPORTED, 0, 0);
  if (t->meta >> 8 == 1 && (__builtin_bswap64(t->source_hi) >> 54) == 0x3fa) {
    return drop(p->slot, 4);
  }
  if (find_frontend(t->source_hi, t->source_lo, source_key(t)) != 0) return drop(p->slot, 25);
  u8 *at = p->base + p->transport;
  bool tcp = (t->meta & 0xff) == TCP;
  if (tcp && TRANSITIONS[ORIGINAL][classify(at[13])][NO] == iv) return drop(p->slot, 14);
  struct service_port *s = service_port_at(f->service_port);
  if (s->affinity_ms != 0 || s->scheduler != 0) return answer(p->slot, UNSUPPORTED, 1, 0);
  u32 backend = s->pools[0].usable == 0 ? 0 : pick(&s->pools[0]);
  if (backend == 0) return answer(p->slot, UNSUPPORTED, 2, 0);
  u32 id = take(t, p->hash);
  if (id == 0) return answer(p->slot, UNSUPPORTED, 3, 0);
  struct entry *e = entry_at(id);
  if (tcp) {
    begin_tcp(e, at, p->transport_length);
    begin_ipvs(e, at[13]);
  } else {
    e->udp.stream_at = (u32)now + 2000;
    keep_for(e, 30000);
  }
  struct backend *b = backend_at(backend);
  bool hairpin = b->address_lo == t->source_lo && b->address_hi == t->source_hi;
  bool masquerade = (f->routes[class] & 8) != 0 || hairpin || (flags & MASQUERADE_ALWAYS) != 0;
  u32 reply_hash;
  u32 reason = bind(e, t, backend, masquerade, p->hash, &reply_hash);
  if (reason != 0) {
    give_back(id);
    return drop(p->slot, reason);
  }
  insert(id, p->hash, reply_hash);
  if ((flags & RETRY) != 0 && is_waiting(e)) {
    e->tcp.end[1] = 1;
    keep(e, id, p);
  }
  send(p, e, ORIGINAL, NEW);
}

static void handle_tcp(struct packet *p, u32 id, u32 direction) {
  struct entry *e = entry_at(id);
  u8 *at = p->base + p->transport;
  if ((flags & RETRY) != 0 && is_waiting(e)) {
    bool refusal = direction == REPLY && (at[13] & RST) != 0 &&
      acknowledgment(at) == e->tcp.end[0];
    bool repeated = direction == ORIGINAL && classify(at[13]) == C_SYN;
    if (refusal || repeated) return answer(p->slot, UNSUPPORTED, 4, 0);
  }
  u32 result = track(e, direction, at, p->transport_length);
  if (result == REFUSE) return drop(p->slot, 13);
  if (result == REOPEN) {
    remove_entry(id);
    return handle_new(p);
  }
  track_ipvs(e, direction, at[13]);
  if (direction == REPLY) e->marks |= SEEN_REPLY;
  send(p, e, direction, TRACKED);
  if (result == ACCEPT_LAST) remove_entry(id);
}

static inline void handle(struct packet *p) {
  u32 length = record_at(p->slot)->length_in;
  count(BYTES, length > VNET_SIZE ? length - VNET_SIZE : 0);
  if (p->kind == INVALID) return drop(p->slot, p->reason);
  if (p->kind != FLOW) return answer(p->slot, UNSUPPORTED, 5, 0);
  u32 link = find_likely(p->link, &p->tuple, p->hash);
  if (link == 0) return handle_new(p);
  struct entry *e = entry_at(link >> 1);
  u32 direction = link & 1;
  if ((p->tuple.meta & 0xff) == TCP) {
    if (!track_plain(e, direction, p->base + p->transport, p->transport_length)) {
      return handle_tcp(p, link >> 1, direction);
    }
  } else {
    u32 timeout = 30000;
    if (e->marks & ASSURED) timeout = 120000;
    else if ((e->marks & SEEN_REPLY) && (int32_t)((u32)now - e->udp.stream_at) > 0) {
      timeout = 120000;
      e->marks |= ASSURED;
    }
    keep_for(e, timeout);
  }
  if (direction == REPLY) e->marks |= SEEN_REPLY;
  send(p, e, direction, TRACKED);
}

/* asm/ahead.ts, by prefetch */
static u32 misses[4096], found[4096];

static void ahead_for_new(u32 number) {
  for (u32 i = 0; i < number; i++) {
    const struct tuple *t = &packets[misses[i]].tuple;
    u32 *head = frontend_head(t->dest_hi, t->dest_lo, dest_key(t));
    found[i] = (u32)((u8 *)head - memory);
    __builtin_prefetch(head);
    __builtin_prefetch(frontend_head(t->source_hi, t->source_lo, source_key(t)));
  }
  for (u32 i = 0; i < number; i++) {
    found[i] = LOAD(u32, memory + found[i]);
    __builtin_prefetch(frontend_at(found[i]));
  }
  for (u32 i = 0; i < number; i++) {
    struct packet *p = &packets[misses[i]];
    const struct tuple *t = &p->tuple;
    p->frontend = find_behind(found[i], t->dest_hi, t->dest_lo, dest_key(t));
    struct service_port *s = service_port_at(frontend_at(p->frontend)->service_port);
    found[i] = (u32)((u8 *)s - memory);
    __builtin_prefetch(s);
    __builtin_prefetch(&s->pools[0].leaves);
    __builtin_prefetch(&s->pools[1].leaves);
  }
  for (u32 i = 0; i < number; i++) {
    struct pool *pool = &((struct service_port *)(memory + found[i]))->pools[0];
    struct member *m = member_at(pool, pool->position < pool->count ? pool->position : 0);
    found[i] = pool->count == 0 ? 0 : (u32)((u8 *)m - memory);
    __builtin_prefetch(m);
  }
  for (u32 i = 0; i < number; i++) {
    found[i] = found[i] == 0 ? 0 : ((struct member *)(memory + found[i]))->backend;
    __builtin_prefetch(backend_at(found[i]));
  }
  for (u32 i = 0; i < number; i++) {
    const struct packet *p = &packets[misses[i]];
    u32 present = first_port == 0 ? 0 : present_address(p->tuple.meta >> 8);
    u32 port = present == 0 ? swap16((u16)p->tuple.ports)
                            : first_port + first_offset(p->hash, last_port - first_port + 1);
    struct tuple r;
    reply_tuple(&r, &p->tuple, backend_at(found[i]), present, (u16)port);
    __builtin_prefetch(bucket_of(hash_tuple(&r)));
  }
}

static void ahead(u32 number) {
  u32 missed = 0;
  for (u32 i = 0; i < number; i++) __builtin_prefetch(bucket_of(packets[i].hash));
  for (u32 i = 0; i < number; i++) {
    struct packet *p = &packets[i];
    if (p->kind != FLOW) continue;
    p->link = likely_link(p->hash);
    if (p->link == 0) misses[missed++] = i;
    struct entry *e = entry_at(p->link >> 1);
    __builtin_prefetch(e);
    __builtin_prefetch((u8 *)e + 47);
  }
  for (u32 i = 0; i < number; i++) {
    struct entry *e = entry_at(packets[i].link >> 1);
    __builtin_prefetch(backend_at(backend_of(e)));
    if (is_v6(e)) {
      __builtin_prefetch(addresses_of(e));
      __builtin_prefetch((u8 *)addresses_of(e) + 39);
    }
  }
  if (missed > 0) ahead_for_new(missed);
}

/* Handles `number` packets, at most 4096, in the slots from `first` on, which do not go around. */
void process(u32 first, u32 number, double now_ms) {
  now = (u64)now_ms;
  for (u32 i = 0; i < number; i++) parse(&packets[i], first + i);
  ahead(number);
  for (u32 i = 0; i < number; i++) handle(&packets[i]);
  count(PACKETS, number);
}
