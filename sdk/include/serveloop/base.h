/* Base types of the policy ABI: ids, tables, buffers, status codes.
 *
 * Everything a policy reads lies in host-owned tables inside one shared mapping: fixed-width rows, offsets
 * instead of pointers, grown only at the tail of a row, so a table carries its stride. Everything a policy
 * answers goes into host-owned buffers with a capacity. Times are nanoseconds of the engine's clock (virtual
 * in a simulation). */
#ifndef SERVELOOP_BASE_H
#define SERVELOOP_BASE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A sequence: slot in the low 32 bits, generation (never 0) in the high 32. A stale id is refused, not
 * misread. */
typedef uint64_t sl_seq;
#define SL_SEQ_SLOT(seq) ((uint32_t)(seq))
#define SL_SEQ_GENERATION(seq) ((uint32_t)((seq) >> 32))
#define SL_NO_SEQ ((sl_seq)0)

#define SL_NONE UINT32_MAX  /* no node, no block, no slot */
#define SL_NEVER UINT64_MAX /* no deadline, no target, no wake time */

/* Row i starts at base + i * stride. `stride` may exceed the row size this header knows: newer hosts grow
 * rows. */
typedef struct sl_table {
  const void* base;
  uint32_t stride, count;
} sl_table;

/* A buffer of the host's: the callee writes at most `capacity` rows and sets `count`. */
typedef struct sl_out {
  void* base;
  uint32_t stride, capacity, count, pad;
} sl_out;

/* A value that a policy wants to see plotted; `name` is an index into its manifest's `gauges`. */
typedef struct sl_gauge {
  uint32_t name, pad;
  double value;
} sl_gauge;

/* Text of the host's or the plugin's that lives for the duration of the call; not zero-terminated. */
typedef struct sl_text {
  const char* data;
  uint64_t size;
} sl_text;

/* What every function returns. Anything below zero counts as a failed call: the linked-in fallback answers
 * instead. */
enum { SL_OK = 0, SL_ERROR = -1, SL_EXCEPTION = -2, SL_BAD_OPTION = -3, SL_BAD_STATE = -4 };

#ifdef __cplusplus
}
#endif
#endif
