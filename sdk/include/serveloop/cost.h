/* The cost model's coefficients and its predictions, as the engine itself uses them:
 *
 *   rows = prefill_token * tokens + decode_token * sequences
 *   step = fixed + rows - overlap * min(fixed, rows)
 *        + decode_sequence * sequences + decode_context * (KV tokens they read)
 *        + prefill_step * (1 if tokens are prefilled)
 *        + prefill_context * sum over chunks of (tokens * mean context)
 *
 * `fixed` is mostly the reading of the weights, which all rows of a step share, and `rows` the arithmetic on them. A
 * device does both at once as far as it can, so `overlap` of the shorter of the two is hidden by the longer: 0 for a
 * plain sum, 1 for the roofline (Williams, Waterman and Patterson, 2009).
 *
 * Coefficients are nanoseconds (per sequence, per KV token, per token, per token-context pair), `overlap` a share. */
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
  double prefill_step_ns, decode_token_ns;
  double overlap; /* 0 to 1 */
} sl_cost;

/* Sum over a chunk's tokens of the KV tokens each reads: positions start .. start + tokens - 1. */
static inline double sl_chunk_pairs(uint32_t start, uint32_t tokens) {
  return (double)tokens * ((double)start + ((double)tokens + 1.0) * 0.5);
}

/* One step's device time. */
static inline double sl_predict_step_ns(const sl_cost* c, uint32_t decodes, uint64_t decode_context,
                                        uint32_t prefill_tokens, double prefill_pairs) {
  const double rows = c->prefill_token_ns * (double)prefill_tokens + c->decode_token_ns * (double)decodes;
  const double hidden = c->overlap * (rows < c->step_fixed_ns ? rows : c->step_fixed_ns);
  return c->step_fixed_ns + rows - hidden + c->decode_sequence_ns * (double)decodes +
         c->decode_context_ns * (double)decode_context + (prefill_tokens > 0 ? c->prefill_step_ns : 0.0) +
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
