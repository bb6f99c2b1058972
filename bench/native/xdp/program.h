/* What a BPF program needs of the kernel's interface; numbers from include/uapi/linux/bpf.h. */
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define SEC(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))

/* Maps are described by types, which libbpf reads from the object's BTF. */
#define NUMBER(name, value) int (*name)[value]
#define TYPE(name, value) value *name
enum { MAP_ARRAY = 2, MAP_LRU_HASH = 9 };

enum { XDP_DROP = 1, XDP_PASS = 2, XDP_TX = 3 };
struct xdp_md { u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index; };

static void *(*const map_lookup)(void *map, const void *key) = (void *)1;
static u64 (*const jiffies)(void) = (void *)118;
static long (*const loop)(u32 times, void *callback, void *context, u64 flags) = (void *)181;

INLINE u16 swap16(u16 value) { return __builtin_bswap16(value); }
INLINE u32 swap32(u32 value) { return __builtin_bswap32(value); }
