/*
 * Maglev's table in C, as asm/schedulers/maglev.ts builds it: the limit that the engine's is
 * measured against.
 */

#include <stdint.h>
#include <string.h>

#define EMPTY 0xffff

struct walk {
  uint32_t at;
  uint32_t skip;
  uint32_t turns;
};

#define ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))
#define ROUND                                   \
  do {                                          \
    v0 += v1, v1 = ROTL(v1, 13) ^ v0;           \
    v0 = ROTL(v0, 32);                          \
    v2 += v3, v3 = ROTL(v3, 16) ^ v2;           \
    v0 += v3, v3 = ROTL(v3, 21) ^ v0;           \
    v2 += v1, v1 = ROTL(v1, 17) ^ v2;           \
    v2 = ROTL(v2, 32);                          \
  } while (0)

static uint32_t siphash13(uint32_t word, uint64_t key) {
  uint64_t v0 = 0x736f6d6570736575 ^ key, v1 = 0x646f72616e646f6d ^ key;
  uint64_t v2 = 0x6c7967656e657261 ^ key, v3 = 0x7465646279746573 ^ key;
  uint64_t block = (uint64_t)4 << 56 | word;
  v3 ^= block;
  ROUND;
  v0 ^= block;
  v2 ^= 0xff;
  ROUND;
  ROUND;
  ROUND;
  return (uint32_t)(v0 ^ v1 ^ v2 ^ v3);
}

static void deal(uint16_t *table, uint32_t buckets, struct walk *walks, uint32_t members) {
  memset(table, 0xff, buckets * sizeof *table);
  uint32_t left = buckets;
  for (;;) {
    for (uint32_t i = 0; i < members; i++) {
      struct walk *walk = &walks[i];
      uint32_t at = walk->at, skip = walk->skip;
      for (uint32_t turn = walk->turns; turn > 0; turn--) {
        while (table[at] != EMPTY) {
          at += skip;
          at -= at >= buckets ? buckets : 0;
        }
        table[at] = (uint16_t)i;
        if (--left == 0) return;
      }
      walk->at = at;
    }
  }
}

/* Builds a table over the members that the words stand for, each with one turn. */
void maglev_build(uint16_t *table, uint32_t buckets, struct walk *walks, const uint32_t *words,
                  uint32_t members) {
  for (uint32_t i = 0; i < members; i++) {
    walks[i].at = siphash13(words[i], 2654435761) % buckets;
    walks[i].skip = siphash13(words[i], 2654446892) % (buckets - 1) + 1;
    walks[i].turns = 1;
  }
  deal(table, buckets, walks, members);
}
