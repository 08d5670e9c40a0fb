/* Reason codes. Every decision carries one. Codes below SL_REASON_PLUGIN are the core's and mean the same
 * everywhere; SL_REASON_PLUGIN + i is entry i of `reasons` in the deciding plugin's manifest. */
#ifndef SERVELOOP_REASONS_H
#define SERVELOOP_REASONS_H

enum {
  SL_REASON_NONE = 0,
  /* why an entry fell or a sequence waits */
  SL_REASON_MEMORY = 1,           /* no device block could be freed for it */
  SL_REASON_TOKENS = 2,           /* the step's token budget was spent */
  SL_REASON_SLOTS = 3,            /* max_sequences are running */
  SL_REASON_COPY_PENDING = 4,     /* its blocks are in transit */
  SL_REASON_NO_HOST_TIER = 5,     /* asked for host memory that is not configured */
  SL_REASON_AFTER_PREEMPTION = 6, /* a step that preempted admits only the entry it preempted for */
  SL_REASON_STEP_FAILED = 7,      /* the executor failed the step: recomputed */
  SL_REASON_HOST_FULL = 8,        /* no host block is free: a demotion is a drop, a swap a recompute */
  SL_REASON_STILL_FILLING =
      9,                      /* a submitted step still writes it: a demotion is a drop, a swap a recompute */
  SL_REASON_COPY_FAILED = 10, /* a copy between tiers failed: its block left the cache */
  /* why a whole answer was refused and the fallback took the step */
  SL_REASON_UNKNOWN_ID = 16,
  SL_REASON_STALE_ID = 17,
  SL_REASON_WRONG_STATE = 18,
  SL_REASON_TWICE = 19,
  SL_REASON_OVER_BUDGET = 20,
  SL_REASON_OVERFLOW = 21, /* more rows than the buffer's capacity */
  SL_REASON_UNKNOWN_VERB = 22,
  SL_REASON_NOT_A_GATES_VERB = 23,
  SL_REASON_PINNED = 24,          /* a victim that a sequence uses */
  SL_REASON_CACHED_CHILDREN = 25, /* a victim with a cached descendant outside the same answer */
  SL_REASON_TOO_FEW = 26,         /* fewer victims than needed, though there were enough */
  SL_REASON_NOT_A_CANDIDATE = 27,
  SL_REASON_CALL_FAILED = 28, /* a negative status, or an exception */
  SL_REASON_NO_PROGRESS =
      29, /* empty plans, or bypassed entries, bypass_steps in a row; yields that give up nothing */
  SL_REASON_BAD_NUMBER = 30, /* a field outside its range */
  SL_REASON_EJECTED = 31,    /* the plugin failed too often and was replaced by the fallback */
  /* why a request ended early */
  SL_REASON_CANCELLED = 48,
  SL_REASON_DEADLINE = 49,
  SL_REASON_QUEUE_FULL = 50,
  SL_REASON_NEVER_FITS = 51, /* the pool cannot hold it even alone */
  SL_REASON_CONTEXT = 52,    /* longer than the context */

  SL_REASON_PLUGIN = 256
};

#endif
