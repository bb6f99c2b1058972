/*
 * A Service load balancer in XDP, as far as established TCP connections over IPv4 go: what the engine
 * does with such a packet, on the kernel's own maps. `balance` is the program proper. `balance_batch`
 * does the same with a batch of packets that lie in a map, as a test run gives a program one packet
 * at a time.
 *
 * Beside the packet's header it reads and writes a translation for each direction (LRU hash), the
 * state that both directions share (array), and the backend's counters (array). Next hops are not
 * looked up: the Ethernet addresses are exchanged.
 */

#include "tcp.h"

enum { ETHERNET_SIZE = 14, IPV4_SIZE = 20, TCP_SIZE = 20 };
enum { HEADERS_SIZE = ETHERNET_SIZE + IPV4_SIZE + TCP_SIZE };
enum { IPV4 = 0x0800, PROTOCOL_TCP = 6 };

/* A tuple as it is on the wire. */
struct tuple { u32 source, dest, ports, protocol; };

/* What packets with a tuple become, of which connection and direction they are. */
struct translation { u32 source, dest, ports, connection, direction, backend; };

struct counters { u64 packets, bytes; };

struct {
  NUMBER(type, MAP_LRU_HASH);
  NUMBER(max_entries, 1);
  TYPE(key, struct tuple);
  TYPE(value, struct translation);
} translations SEC(".maps");

struct {
  NUMBER(type, MAP_ARRAY);
  NUMBER(max_entries, 1);
  TYPE(key, u32);
  TYPE(value, struct connection);
} connections SEC(".maps");

struct {
  NUMBER(type, MAP_ARRAY);
  NUMBER(max_entries, 1);
  TYPE(key, u32);
  TYPE(value, struct counters);
} backends SEC(".maps");

/* Frames begin two bytes into a slot, so that the IP header is aligned. */
enum { BATCH = 256, SLOT = 128, PADDING = 2 };
struct batch { u8 slots[BATCH][SLOT]; };

struct {
  NUMBER(type, MAP_ARRAY);
  NUMBER(max_entries, 1);
  TYPE(key, u32);
  TYPE(value, struct batch);
} packets SEC(".maps");

struct ipv4_header { u8 version, service; u16 total, id, fragment; u8 ttl, protocol; u16 checksum; u32 source, dest; };

INLINE u32 fold(u64 sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return (u32)((sum & 0xffff) + (sum >> 16));
}

/* RFC 1624, equation 3. */
INLINE u16 update(u16 field, u64 change) { return (u16)~fold((u16)~field + change); }

INLINE u64 difference(u32 after, u32 before) { return (u64)after + (0xffffffffu - before); }

INLINE int may_travel(u32 source, u32 dest) {
  u32 from = source & 255, to = dest & 255;
  return from != 0 && from != 127 && from < 224 && to != 0 && to != 127 && to < 224;
}

INLINE u64 sum_of(const struct ipv4_header *ip) {
  const u32 *words = (const u32 *)ip;
  return (u64)words[0] + words[1] + words[2] + words[3] + words[4];
}

/* Whether it is a whole packet without options and with nothing to complain about. */
INLINE int is_plain(const struct ipv4_header *ip, u32 room) {
  u32 total = swap16(ip->total);
  return ip->version == 0x45 && ip->ttl != 0 && ip->protocol == PROTOCOL_TCP &&
    (ip->fragment & swap16(0x3fff)) == 0 && total >= IPV4_SIZE + TCP_SIZE && total <= room &&
    (u16)~fold(sum_of(ip)) == 0 && may_travel(ip->source, ip->dest) && ip->source != ip->dest;
}

INLINE void exchange_ethernet_addresses(u8 *frame) {
  u16 *words = (u16 *)frame;
#pragma unroll
  for (int i = 0; i < 3; i++) {
    u16 word = words[i];
    words[i] = words[i + 3];
    words[i + 3] = word;
  }
}

/* Handles a frame that has at least HEADERS_SIZE bytes, `length` in all. */
INLINE int handle(u8 *frame, u32 length) {
  if (*(u16 *)(frame + 12) != swap16(IPV4)) return XDP_PASS;
  struct ipv4_header *ip = (struct ipv4_header *)(frame + ETHERNET_SIZE);
  struct tcp_header *tcp = (struct tcp_header *)(frame + ETHERNET_SIZE + IPV4_SIZE);
  if (!is_plain(ip, length - ETHERNET_SIZE)) return XDP_PASS;
  u32 segment = swap16(ip->total) - IPV4_SIZE, header = tcp->offset >> 4 << 2;
  if (header < TCP_SIZE || header > segment || tcp->source == 0 || tcp->dest == 0) return XDP_PASS;

  u32 ports = *(u32 *)tcp;
  struct tuple key = { ip->source, ip->dest, ports, PROTOCOL_TCP };
  struct translation *t = map_lookup(&translations, &key);
  if (!t) return XDP_PASS;
  struct connection *c = map_lookup(&connections, &t->connection);
  struct counters *b = map_lookup(&backends, &t->backend);
  if (!c || !b || !track(c, t->direction, tcp, segment)) return XDP_PASS;

  u64 change = difference(t->source, ip->source) + difference(t->dest, ip->dest);
  ip->source = t->source;
  ip->dest = t->dest;
  ip->checksum = update(ip->checksum, change);
  tcp->checksum = update(tcp->checksum, change + difference(t->ports, ports));
  *(u32 *)tcp = t->ports;
  b->packets++;
  b->bytes += segment + IPV4_SIZE;
  exchange_ethernet_addresses(frame);
  return XDP_TX;
}

SEC("xdp")
int balance(struct xdp_md *context) {
  u8 *frame = (u8 *)(long)context->data, *end = (u8 *)(long)context->data_end;
  if (frame + HEADERS_SIZE > end) return XDP_PASS;
  return handle(frame, (u32)(end - frame));
}

struct progress { struct batch *batch; u32 forwarded; };

static long handle_slot(u32 index, struct progress *progress) {
  if (index >= BATCH) return 1;
  u8 *frame = progress->batch->slots[index] + PADDING;
  if (handle(frame, SLOT - PADDING) == XDP_TX) progress->forwarded++;
  return 0;
}

/* Returns how many packets of the batch were forwarded. */
SEC("xdp")
int balance_batch(struct xdp_md *context) {
  u32 first = 0;
  struct progress progress = { map_lookup(&packets, &first), 0 };
  if (!progress.batch) return 0;
  loop(BATCH, handle_slot, &progress, 0);
  return (int)progress.forwarded;
}
