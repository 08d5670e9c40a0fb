/* Kind "preemption": who yields, when evicting is not enough? */
#ifndef SERVELOOP_PREEMPTION_H
#define SERVELOOP_PREEMPTION_H

#include <serveloop/scheduler.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { SL_CAN_RECOMPUTE = 1, SL_CAN_SWAP = 2, SL_CAN_KEEP = 4 };

/* A holder of device blocks ranked below the entry in need. Rows are in plan rank, those not in the plan
 * last. */
typedef struct sl_candidate {
  sl_seq seq;
  uint32_t frees;                 /* device blocks that nobody else uses */
  uint32_t recompute_tokens;      /* tokens to compute again, should nothing of it stay cached */
  uint32_t plan_rank;             /* SL_NONE = not in the plan */
  uint32_t can;                   /* SL_CAN_*; when not SWAP: docs/HOST_MEMORY.md */
  uint64_t recompute_ns, swap_ns; /* by the cost model */
} sl_candidate;

typedef struct sl_preempt_in {
  const sl_view* view;
  sl_seq for_seq;      /* the entry in need */
  sl_table candidates; /* sl_candidate */
  uint32_t need, pad;  /* device blocks */
} sl_preempt_in;

typedef struct sl_yield {
  sl_seq seq;
  uint16_t mode, reason; /* SL_YIELD_* */
  uint32_t keep_blocks;  /* with SL_YIELD_KEEP: its first ones, cut to those that are whole (docs/ABI.md) */
} sl_yield;

typedef struct sl_preemption {
  uint32_t struct_size, pad;
  /* [step] Names sequences until their `frees` cover `need`, or all that it is willing to name. */
  int32_t (*preempt)(void* self, const sl_preempt_in* in, sl_out* yields, sl_out* gauges);
  /* [step] Hears the scheduler's events, once a step; null if it needs none. */
  int32_t (*note)(void* self, const sl_view* view);
} sl_preemption;

#ifdef __cplusplus
}
#endif
#endif
