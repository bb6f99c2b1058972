/* asm/tables/tuple_index.ts */
#pragma once

#include <immintrin.h>

#include "tables.h"

enum { BUCKET = 64, PASSED = 15, LINKS = 0x7fff };

static inline u32 *bucket_of(u32 hash) {
  return AT(u32, tables.buckets, (((u64)hash * tables.bucket_count) >> 32) * (BUCKET / 4));
}

static inline u32 *behind(u32 *bucket) {
  u32 *next = bucket + BUCKET / 4;
  return next == AT(u32, tables.buckets, (u64)tables.bucket_count * (BUCKET / 4))
    ? AT(u32, tables.buckets, 0) : next;
}

static inline u32 compare(const u32 *bucket, u32 wanted, u32 mask) {
#ifdef __AVX512F__
  __m512i words = _mm512_and_si512(_mm512_loadu_si512(bucket), _mm512_set1_epi32((int)mask));
  return _mm512_cmpeq_epi32_mask(words, _mm512_set1_epi32((int)wanted)) & LINKS;
#else
  __m128i w = _mm_set1_epi32((int)wanted), m = _mm_set1_epi32((int)mask), found[4];
  for (int i = 0; i < 4; i++) {
    __m128i words = _mm_loadu_si128((const __m128i *)bucket + i);
    found[i] = _mm_cmpeq_epi32(_mm_and_si128(words, m), w);
  }
  __m128i low = _mm_packs_epi32(found[0], found[1]), high = _mm_packs_epi32(found[2], found[3]);
  return (u32)_mm_movemask_epi8(_mm_packs_epi16(low, high)) & LINKS;
#endif
}

static inline u32 link_mask(void) { return (1u << tables.link_bits) - 1; }

static inline u32 likely_link(u32 hash) {
  u32 *bucket = bucket_of(hash);
  u32 found = compare(bucket, hash << tables.link_bits, ~link_mask());
  return found == 0 ? 0 : bucket[__builtin_ctz(found)] & link_mask();
}

static inline void add_link(u32 hash, u32 link) {
  u32 *bucket = bucket_of(hash), free;
  while ((free = compare(bucket, 0, ~0u)) == 0) {
    bucket[PASSED]++;
    bucket = behind(bucket);
  }
  bucket[__builtin_ctz(free)] = hash << tables.link_bits | link;
}

static inline void remove_link(u32 hash, u32 link) {
  u32 *bucket = bucket_of(hash), word = hash << tables.link_bits | link, found;
  while ((found = compare(bucket, word, ~0u)) == 0) {
    bucket[PASSED]--;
    bucket = behind(bucket);
  }
  bucket[__builtin_ctz(found)] = 0;
}
