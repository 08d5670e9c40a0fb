/* Kind "scheduler": what runs next? Also the kind of gates, which may only park and reject. */
#ifndef SERVELOOP_SCHEDULER_H
#define SERVELOOP_SCHEDULER_H

#include <serveloop/view.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Verbs of a plan's entry. `tokens` is an upper bound on tokens computed after the prefix match; the core
 * clamps it to what is left. Entries are ranked by their order. A sequence may stand in one entry only. */
enum {
  SL_RUN = 1, /* a running sequence runs `tokens` tokens (1 = decode); `blocks` > 0: hold that many in all */
  SL_ADMIT = 2,    /* a ready waiting or reserved one starts, likewise */
  SL_RESERVE = 3,  /* hold `blocks` device blocks in all, do not run */
  SL_SWAP_IN = 4,  /* bring a swapped one back, to run in a later step */
  SL_PREFETCH = 5, /* bring its host-cached prefix to the device */
  SL_PREEMPT = 6,  /* a holder of blocks yields; arg: SL_YIELD_*, `blocks`: kept with SL_YIELD_KEEP */
  SL_PARK = 7,     /* a waiting one is not ready until arg (ns), or SL_NEVER = until released */
  SL_RELEASE = 8,  /* un-park */
  SL_REJECT = 9    /* a waiting one that never ran ends, refused */
};

enum { SL_YIELD_RECOMPUTE = 0, SL_YIELD_SWAP = 1, SL_YIELD_KEEP = 2 };

typedef struct sl_entry {
  sl_seq seq;
  uint16_t verb, reason;
  uint32_t tokens, drafts, blocks;
  uint64_t arg;
} sl_entry;

typedef struct sl_scheduler {
  uint32_t struct_size, pad;
  /* [step] Writes this step's plan. */
  int32_t (*plan)(void* self, const sl_view* view, sl_out* entries, sl_out* gauges);
  /* [step] Hears events without being asked (handover of state, shadowing). */
  int32_t (*note)(void* self, const sl_view* view);
} sl_scheduler;

#ifdef __cplusplus
}
#endif
#endif
