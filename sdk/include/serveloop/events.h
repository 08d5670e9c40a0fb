/* What happened since the last call: the only way state reaches a policy besides the tables. */
#ifndef SERVELOOP_EVENTS_H
#define SERVELOOP_EVENTS_H

#include <serveloop/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Subject is the sequence (sl_seq) unless stated. Unknown kinds must be ignored: later minors add some. */
enum {
  SL_EV_ARRIVED = 1,   /* known to the engine; not ready yet */
  SL_EV_READY = 2,     /* may be named by the scheduler: past the gates, woken or released */
  SL_EV_ADMITTED = 3,  /* runs from this step on; a: tokens hit in the prefix cache */
  SL_EV_FELL = 4,      /* an entry of the last plan could not be placed; a: reason, b: entry's index */
  SL_EV_PREEMPTED = 5, /* waits again, ready unless it is SL_SWAPPED: then once its blocks are TRANSFERRED.
                          a: reason, b: sequence it yielded to, or SL_NO_SEQ */
  SL_EV_FIRST_TOKEN = 6,
  SL_EV_STEP_END = 7, /* subject: step; a: device ns, b: rows in its batch */
  SL_EV_PAUSED = 8,   /* a: predicted end, ns, or SL_NEVER */
  SL_EV_RESUMED =
      9, /* may be admitted again; a: 1 if it still holds its blocks (SL_RESERVED), else 0 (SL_WAITING,
            SL_SWAPPED) */
  SL_EV_TRANSFERRED = 10,  /* a: blocks, b: tier they are in now; SL_TIER_NONE: lost, it computes again */
  SL_EV_HINT = 11,         /* subject: request id; a: key, b: the value's bits (double) */
  SL_EV_ENDED = 12,        /* a: finish (sl_finish), b: output tokens */
  SL_EV_NODE_CHANGED = 13, /* node: cached lengths or waiters changed; subject 0 */
  SL_EV_NODE_GONE = 14,    /* node: its id may be used again; subject 0 */
  SL_EV_PARKED = 15,       /* a: wake, ns, or SL_NEVER; b: reason */
  SL_EV_IN_TRANSIT = 17,   /* its blocks are being copied to the device: not ready until TRANSFERRED */
  SL_EV_SPLIT = 16 /* node was split: a is the new upper node that took its first b blocks; subject 0 */
};

enum { SL_EVENT_HANDOVER = 1 /* describes state that existed before this instance did */ };

/* Why a sequence ended. */
enum {
  SL_FINISH_LENGTH = 1,
  SL_FINISH_STOP,
  SL_FINISH_CANCELLED,
  SL_FINISH_DEADLINE,
  SL_FINISH_REJECTED,
  SL_FINISH_ERROR
};

typedef struct sl_event {
  uint16_t kind, flags;
  uint32_t node;
  uint64_t subject, a, b;
} sl_event;

/* Events of cached blocks, for eviction. */
enum {
  SL_BLOCK_INSERTED = 1, /* entered the prompt tree, in use */
  SL_BLOCK_HIT = 2,      /* a sequence that runs uses it: its prefix matched */
  SL_BLOCK_IDLE = 3,     /* last user gone: evictable from now on. Sent leaf first. Comes without a HIT
                            before it where an entry had pinned the block and then fell */
  SL_BLOCK_GONE = 4,     /* dropped: no tier holds it. Its key remains useful for ghost lists */
  SL_BLOCK_MOVED = 5     /* now in `tier`; `block` is its id there, `from` the one it had. In use until told
                            otherwise: a demoted one is SL_BLOCK_IDLE once its copy ended */
};

typedef struct sl_block_event {
  uint64_t key, parent_key; /* parent_key: the block above; its salt if it is the first */
  uint64_t request;         /* id of the request that caused it; 0 = none */
  uint32_t block, depth;
  uint16_t kind, tier;
  uint16_t flags, reason; /* flags: SL_EVENT_HANDOVER; reason: why it left, with GONE */
  uint32_t cached_children;
  uint32_t node;
  uint32_t request_row; /* row of `request` in the requests table; SL_NONE = none */
  uint32_t from;        /* with SL_BLOCK_MOVED: the block it was before; else 0 */
} sl_block_event;

#ifdef __cplusplus
}
#endif
#endif
