/* Kind "precision": in what numbers? Assigned at load; a mode is chosen each step. */
#ifndef SERVELOOP_PRECISION_H
#define SERVELOOP_PRECISION_H

#include <serveloop/view.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  SL_DTYPE_NATIVE = 0, /* as the checkpoint stores it */
  SL_F32,
  SL_BF16,
  SL_F16,
  SL_E4M3FN,
  SL_E5M2,
  SL_E8M0,
  SL_INT8
};
enum {
  SL_SCALE_NONE = 0,
  SL_SCALE_TENSOR,
  SL_SCALE_CHANNEL,
  SL_SCALE_TOKEN,
  SL_SCALE_GROUP,
  SL_SCALE_BLOCK,
  SL_SCALE_HEAD,
  SL_SCALE_TOKEN_HEAD
};
enum {
  SL_SOURCE_NONE = 0,
  SL_SOURCE_CHECKPOINT,
  SL_SOURCE_CALIBRATED,
  SL_SOURCE_DYNAMIC,
  SL_SOURCE_DELAYED,
  SL_SOURCE_FIRST_BATCH,
  SL_SOURCE_CONSTANT
};
enum { SL_ROUND_EXACT = 0, SL_ROUND_POWER_OF_TWO_UP };
enum { SL_OVERFLOW_SATURATE = 0, SL_OVERFLOW_NAN };
enum { SL_RAGGED_PAD = 0, SL_RAGGED_REFUSE };
enum { SL_ACCUMULATE_F32 = 0, SL_ACCUMULATE_FAST, SL_ACCUMULATE_PROMOTED };
enum { SL_COMPUTE_NATIVE = 0, SL_COMPUTE_DEQUANTISED, SL_COMPUTE_EMULATED };
enum {
  SL_ROLE_EMBED = 1,
  SL_ROLE_Q,
  SL_ROLE_K,
  SL_ROLE_V,
  SL_ROLE_O,
  SL_ROLE_GATE,
  SL_ROLE_UP,
  SL_ROLE_DOWN,
  SL_ROLE_ROUTER,
  SL_ROLE_LM_HEAD,
  SL_ROLE_NORM,
  SL_ROLE_KV
};
enum { SL_LAYER_FULL = 0, SL_LAYER_SLIDING, SL_LAYER_LINEAR };
enum { SL_PHASE_BOTH = 0, SL_PHASE_PREFILL, SL_PHASE_DECODE };

/* One operation of the model: what a plan is asked for. `can` is a bit set of dtypes (1 << SL_*) the backend
 * computes in. */
typedef struct sl_op_key {
  int32_t layer, layers, expert; /* layer -1: outside the layers; expert -1: none */
  uint16_t role, layer_kind, phase, can;
  uint32_t n, k; /* output and input features */
} sl_op_key;

/* One tensor's format. A stored scale is the dequantisation multiplier. */
typedef struct sl_format {
  uint8_t dtype, granularity, scale_dtype, source, rounding, overflow, ragged, pad;
  uint32_t group_n, group_k, history;
  float amax_floor, amax_ceiling, margin, constant;
} sl_format;

/* For role SL_ROLE_KV: `weight` is K, `input` V, `output` Q and probabilities. */
typedef struct sl_op_plan {
  sl_format weight, input, output;
  uint16_t accumulate, promote_every, compute, reason;
} sl_op_plan;

typedef struct sl_precision {
  uint32_t struct_size, pad;
  /* [control] One sl_op_plan per key, in order. */
  int32_t (*assign)(void* self, const sl_table* keys, uint32_t mode, sl_out* op_plans);
  /* [control] The plan that took effect, with a reason for each difference. */
  int32_t (*effective)(void* self, const sl_table* keys, uint32_t mode, const sl_table* op_plans);
  /* [control] How many modes there are, at least 1. */
  uint32_t (*modes)(void* self);
  /* [step] The mode of this step. */
  int32_t (*choose_mode)(void* self, const sl_view* view, uint32_t* mode);
} sl_precision;

#ifdef __cplusplus
}
#endif
#endif
