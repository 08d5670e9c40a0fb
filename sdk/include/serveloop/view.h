/* What a [step] call reads: one header per call, tables in place. Nothing in it may be kept beyond the call.
 * */
#ifndef SERVELOOP_VIEW_H
#define SERVELOOP_VIEW_H

#include <serveloop/base.h>
#include <serveloop/cost.h>
#include <serveloop/events.h>
#include <serveloop/rows.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sl_tier {
  uint32_t total, free, evictable, in_transit; /* blocks; evictable: cached, used by nobody; in_transit:
                                                   a copy is pending */
} sl_tier;

typedef struct sl_view {
  uint32_t struct_size, epoch; /* epoch: one per hot swap of this kind */
  uint64_t step, now_ns, seed, last_step_ns;
  uint32_t lag; /* steps the device may be behind: 0 or 1 */
  uint32_t block_tokens, token_budget, max_sequences;
  uint32_t mode; /* precision mode chosen for this step */
  uint32_t waiting, running_count, gates;
  sl_tier tier[2];     /* SL_TIER_DEVICE, SL_TIER_HOST */
  sl_table seqs;       /* sl_seq_row, by slot */
  sl_table seqs_cold;  /* sl_seq_cold_row, by slot */
  sl_table requests;   /* sl_request_row, by sl_seq_row.request */
  sl_table nodes;      /* sl_node_row, by node */
  sl_table blocks;     /* sl_block_row, by block */
  sl_table running;    /* uint32_t: slots of running sequences in admission order */
  sl_table events;     /* sl_event: since this policy was last called, oldest first */
  const uint8_t* heap; /* variable parts: prompts, hints, retention ranges */
  const sl_cost* cost;
} sl_view;

#ifdef __cplusplus
}
#endif
#endif
