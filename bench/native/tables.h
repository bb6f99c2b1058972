/* The engine's tables as asm/ lays them out, for a twin that works on them in the same memory. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

/* What asm/bench/engine.ts tells, in its order: offsets into the memory, and numbers. */
struct tables {
  u32 slots, slot_stride, records, counters, drops;
  u32 entries, places, buckets, bucket_count, link_bits;
  u32 frontend_heads, frontend_mask, frontends, service_ports, backends;
  u32 network_counts, networks, masquerade, present_addresses, kept_syns, tcp_timeouts;
  u32 beginnings;
};

/* asm/tuple.ts */
struct tuple {
  u64 source_hi, source_lo, dest_hi, dest_lo;
  u32 ports, meta;
};

/* asm/tables/entry.ts */
struct entry {
  u32 source, dest, ports, owner, expires_at, marks;
  u16 reply_port, digest;
  union {
    struct { u32 end[2], max_ack[2], last_end; } tcp;
    struct { u32 before, after, stream_at; } udp;
  };
};

struct addresses {
  u64 source_hi, source_lo;
  u32 delta, marks;
  u64 dest_hi, dest_lo;
};

/* asm/tables/conntrack.ts */
struct places { u32 used, free, taken, live, hand; };

/* asm/tables/backends.ts */
struct backend {
  u64 address_hi, address_lo, packets, bytes;
  u16 port;
  u8 family, state;
  u32 service_port, total, active, in_cluster, in_local;
  u64 connections;
  u32 holds, weight, mark, entries, affinities, generation;
} __attribute__((aligned(128)));

/* asm/tables/frontends.ts */
struct frontend {
  u64 address_hi, address_lo;
  u32 key, next, service_port, ranges, range_count;
  u8 routes[3], kind;
  u32 reset_tokens;
  u64 reset_filled_at;
} __attribute__((aligned(64)));

/* asm/tables/pools.ts and service_ports.ts */
struct pool {
  u32 items, count, usable;
  u64 total_weight;
  u32 position, enough, highest, step, index, index_bytes, leaves, destinations, without_table;
};

struct member { u64 cumulative; u32 backend, weight, last_weight, changed; };

struct service_port {
  u32 affinity_ms, next;
  u8 scheduler, flags, in_use;
  struct pool pools[2];
};

/* asm/tables/masquerade.ts */
struct masquerade_address { u64 hi, lo; u32 users, current; };

/* asm/tables/kept_syns.ts */
enum { VNET_SIZE = 12, LONGEST_SYN = 128 };
struct kept_syn { u32 entry, length; u8 bytes[(VNET_SIZE + LONGEST_SYN + 15) & ~15]; };

/* SlotRecord in asm/abi.ts */
struct slot_record { u32 verdict, detail, length_out, length_in; };

/* asm/tables/networks.ts */
struct network { u64 base_hi, base_lo, mask_hi, mask_lo; };
enum { NETWORK_CAPACITY = 1024, LIST_PODS = 0, LIST_NODE = 1 };

_Static_assert(sizeof(struct entry) == 48, "entry");
_Static_assert(sizeof(struct addresses) == 40, "addresses");
_Static_assert(sizeof(struct backend) == 128, "backend");
_Static_assert(sizeof(struct frontend) == 64, "frontend");
_Static_assert(sizeof(struct pool) == 64, "pool");
_Static_assert(sizeof(struct service_port) == 144, "service port");

enum { DROP = 0, FORWARD = 1, UNSUPPORTED = 255 };
enum { TRACKED = 0, NEW = 1 };
enum { PACKETS = 0, BYTES = 1, FORWARDED = 2, CREATED = 5 };
enum { TCP = 6, UDP = 17 };

/* The memory, and what does not change while it is measured. */
static u8 *memory;
static struct tables tables;
static u64 keys[6];
static u32 flags, first_port, last_port, capacity, kept_capacity, kept_hand;
static u64 now;

#define AT(type, table, id) ((type *)(memory + (table)) + (id))

static inline struct entry *entry_at(u32 id) { return AT(struct entry, tables.entries, id); }
static inline struct backend *backend_at(u32 id) { return AT(struct backend, tables.backends, id); }
static inline struct slot_record *record_at(u32 slot) {
  return AT(struct slot_record, tables.records, slot);
}
static inline struct places *places(void) { return AT(struct places, tables.places, 0); }
static inline struct masquerade_address *masquerade_at(u32 n) {
  return AT(struct masquerade_address, tables.masquerade, n);
}
static inline u32 present_address(u32 family) {
  return family == 0 ? tables.present_addresses & 0xffff : tables.present_addresses >> 16;
}
static inline void count(u32 counter, u64 by) { AT(u64, tables.counters, 0)[counter] += by; }

/* asm/tuple.ts: hashes */
static inline u64 nh(u64 word, u64 key) {
  return (u64)((u32)word + (u32)key) * ((u32)(word >> 32) + (u32)(key >> 32));
}
static inline u32 finish_hash(u64 sum) {
  sum ^= sum >> 32;
  return (u32)((sum * keys[5]) >> 32);
}
static inline u32 hash_tuple(const struct tuple *t) {
  u64 tail = t->ports | (u64)t->meta << 32;
  if (t->meta >> 8 == 0) {
    u64 both = (t->source_lo >> 32) | (t->dest_lo & 0xffffffff00000000);
    return finish_hash(nh(both, keys[0]) + nh(tail, keys[4]));
  }
  return finish_hash(nh(t->source_hi, keys[0]) + nh(t->source_lo, keys[1]) +
                     nh(t->dest_hi, keys[2]) + nh(t->dest_lo, keys[3]) + nh(tail, keys[4]));
}
static inline u32 hash_address(u64 hi, u64 lo, u64 extra) {
  return finish_hash(nh(hi, keys[1]) + nh(lo, keys[2]) + nh(extra, keys[3]));
}
static inline u64 mapped(u32 address) { return (u64)address << 32 | 0xffff0000; }

/* asm/wire/checksum.ts */
static inline u32 fold(u64 sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffffffff) + (sum >> 32);
  u32 half = ((u32)sum & 0xffff) + ((u32)sum >> 16);
  return (half & 0xffff) + (half >> 16);
}
static inline u16 update(u16 field, u64 change) {
  return (u16)~fold((u64)(~(u32)field & 0xffff) + change);
}
static inline u16 update_partial(u16 field, u64 change) { return (u16)fold(field + change); }

#define LOAD(type, at) ({ type value_; memcpy(&value_, (at), sizeof value_); value_; })
#define STORE(type, at, value) ({ type value_ = (value); memcpy((at), &value_, sizeof value_); })
