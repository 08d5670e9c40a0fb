/* Kind "eviction": what leaves the cache? */
#ifndef SERVELOOP_EVICTION_H
#define SERVELOOP_EVICTION_H

#include <serveloop/view.h>

#ifdef __cplusplus
extern "C" {
#endif

/* `need[tier]` blocks must leave now, `ahead[tier]`, those among them, are likely to have to within a few steps (so
 * that demotions finish in time), beside those that are leaving already. An answer applies whole or not at all; it may
 * name more than was needed (expired, not worth caching). */
typedef struct sl_evict_in {
  const sl_view* view;
  sl_table
      events; /* sl_block_event: since the last note or evict, oldest first. Those of sequences stand in the view,
                      in `note` */
  uint32_t need[2], ahead[2];
} sl_evict_in;

/* A block to drop (`to` = SL_TIER_NONE) or to demote (`to` = SL_TIER_HOST; device blocks only). `key` must be
 * the block's, so that a stale answer is refused. A victim has no user, and no cached descendant in its tier
 * outside the same answer. Host blocks below a dropped device block go with it. A demoted block is free once its
 * copy has ended. Where the host has too few free blocks, those that the answer drops there included, the deepest
 * demotions are drops. */
typedef struct sl_victim {
  uint64_t key;
  uint32_t block;
  uint16_t to, reason;
} sl_victim;

typedef struct sl_eviction {
  uint32_t struct_size, pad;
  /* [step] When free blocks run short. */
  int32_t (*evict)(void* self, const sl_evict_in* in, sl_out* victims, sl_out* gauges);
  /* [step] After each step that had block events, so that `evict` never has a backlog to read. Null: it reads
   * the block table alone, and hears only the events of a step in which it is asked. */
  int32_t (*note)(void* self, const sl_evict_in* in);
} sl_eviction;

#ifdef __cplusplus
}
#endif
#endif
