/* The cost model's coefficients and its predictions, as the engine itself uses them. Plain linear terms:
 *
 *   step = fixed + decode_sequence * sequences + decode_context * (KV tokens they read)
 *        + prefill_token * tokens + prefill_context * sum over chunks of (tokens * mean context)
 *
 * All coefficients are nanoseconds (per sequence, per KV token, per token, per token-context pair). */
#ifndef SERVELOOP_COST_H
#define SERVELOOP_COST_H

#include <serveloop/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sl_cost {
  uint32_t struct_size, pad;
  double step_fixed_ns;
  double decode_sequence_ns, decode_context_ns;
  double prefill_token_ns, prefill_context_ns;
  double swap_fixed_ns, swap_block_ns; /* one block, one way */
} sl_cost;

/* Sum over a chunk's tokens of the KV tokens each reads: positions start .. start + tokens - 1. */
static inline double sl_chunk_pairs(uint32_t start, uint32_t tokens) {
  return (double)tokens * ((double)start + ((double)tokens + 1.0) * 0.5);
}

/* One step's device time. */
static inline double sl_predict_step_ns(const sl_cost* c, uint32_t decodes, uint64_t decode_context,
                                        uint32_t prefill_tokens, double prefill_pairs) {
  return c->step_fixed_ns + c->decode_sequence_ns * (double)decodes +
         c->decode_context_ns * (double)decode_context + c->prefill_token_ns * (double)prefill_tokens +
         c->prefill_context_ns * prefill_pairs;
}

/* Device time of prefilling `tokens` tokens from position `start`, in one step of its own. */
static inline double sl_predict_prefill_ns(const sl_cost* c, uint32_t start, uint32_t tokens) {
  return sl_predict_step_ns(c, 0, 0, tokens, sl_chunk_pairs(start, tokens));
}

/* Copying `blocks` blocks out and in again. */
static inline double sl_predict_swap_ns(const sl_cost* c, uint32_t blocks) {
  return 2.0 * (c->swap_fixed_ns + c->swap_block_ns * (double)blocks);
}

#ifdef __cplusplus
}
#endif
#endif
