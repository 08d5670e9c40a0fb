/* The tables' rows: requests, sequences, prompt-tree nodes, blocks. Read in place, written only between
 * calls. */
#ifndef SERVELOOP_ROWS_H
#define SERVELOOP_ROWS_H

#include <serveloop/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One request; fixed at arrival but for hints. `*_at` are byte offsets into sl_view.heap. */
typedef struct sl_request_row {
  uint64_t request; /* id, unique for the engine's life */
  uint64_t arrival_ns;
  uint64_t ttft_deadline_ns; /* absolute, for the first token; SL_NEVER if none. A fact for policies only */
  uint64_t tbt_target_ns;    /* wished time between tokens; SL_NEVER if none */
  uint64_t end_deadline_ns;  /* absolute; the core ends the request there */
  uint64_t prompt_at;        /* uint32_t[prompt_tokens] */
  uint64_t hints_at;         /* sl_hint[hints_count] */
  uint64_t retention_at;     /* sl_retention[retention_count] */
  uint64_t session, program; /* hashes of the client's names; 0 = none */
  uint64_t parent;           /* request id of the call that led to this one; 0 = none */
  uint32_t prompt_tokens, max_tokens;
  uint32_t hints_count, retention_count;
  uint32_t tenant; /* dense index; 0 = the default tenant */
  uint32_t tenant_weight_milli;
  int32_t priority;                                     /* higher runs first */
  uint32_t service_class;                               /* from the priority rules; 0 = the default */
  uint32_t category;                                    /* dense index; 0 = none */
  uint32_t turn;                                        /* of its session, from 0 */
  uint32_t predicted_p50, predicted_p90, predicted_p99; /* output tokens; 0 = not predicted */
  uint32_t adapter;                                     /* 0 = none */
  uint32_t n;                                           /* sequences */
  uint32_t live;                                        /* sequences not ended; 0 = the row is free */
} sl_request_row;

/* A keyed number from the client (`hints`), for policies that agree on a key with it. */
typedef struct sl_hint {
  uint64_t key; /* hash of its name */
  double value;
} sl_hint;

/* Retention of a token range: priority 0 to 100 for a duration, in a tier (TensorRT-LLM's retention ranges).
 * */
typedef struct sl_retention {
  uint32_t from_token, to_token, priority, tier;
  uint64_t duration_ns;
} sl_retention;

/* States of a sequence. */
enum {
  SL_FREE = 0,     /* the row is not in use */
  SL_WAITING = 1,  /* holds no executor slot; may keep its first blocks after a partial yield */
  SL_RESERVED = 2, /* holds blocks, does not run */
  SL_RUNNING = 3,
  SL_PAUSED = 4,  /* its client will go on later (a tool call); holds its blocks */
  SL_SWAPPED = 5, /* its private blocks are in host memory */
  SL_ENDED = 6    /* until the end of the step in which its end is told */
};

/* Why a waiting sequence is not ready: bits of sl_seq_row.not_ready. Zero means that a scheduler may name it.
 * */
enum {
  SL_NOT_READY_GATE = 1,   /* parked by a gate */
  SL_NOT_READY_PARKED = 2, /* parked by the scheduler */
  SL_NOT_READY_PAUSED = 4,
  SL_NOT_READY_READER = 8, /* its output buffer is full */
  SL_NOT_READY_TRANSFER = 16,
  SL_NOT_READY_UNGATED = 32 /* has not passed the gates yet */
};

/* One sequence: what changes, 64 bytes, the hot row. Index = slot. Token counts include the prompt unless
 * named so. The sequence knows known = prompt + generated tokens. `computed` of them have KV (confirmed);
 * `in_flight` more are being computed by submitted steps (min and max differ with drafts). */
typedef struct sl_seq_row {
  sl_seq id;
  uint32_t request; /* slot in the requests table */
  uint32_t fork;    /* 0 .. n-1 */
  uint32_t node;    /* deepest node of its path in the prompt tree; SL_NONE if it has no whole block */
  uint16_t state, not_ready;
  uint32_t computed, in_flight_min, in_flight_max;
  uint32_t generated;   /* confirmed output tokens */
  uint32_t tokens_left; /* tokens that may still be run until max_tokens, `runnable` included */
  uint32_t blocks_device, blocks_host;
  uint32_t high_water; /* most tokens that ever had KV: below it, prefill is recompute */
  uint32_t preemptions;
  uint32_t runnable; /* tokens a plan may run now: 1 when decoding, more in prefill, 0 if all are in flight */
} sl_seq_row;

/* The same sequence: what policies read less often. */
typedef struct sl_seq_cold_row {
  uint64_t ready_ns;       /* when it last became ready */
  uint64_t admitted_ns;    /* first admission; 0 = never */
  uint64_t first_token_ns; /* 0 = none yet */
  uint64_t last_token_ns;
  uint64_t service_ns;     /* device time attributed to it */
  uint64_t last_step;      /* last step that ran it */
  uint64_t wake_ns;        /* if parked; SL_NEVER = until released */
  uint64_t pause_until_ns; /* predicted end of a pause; SL_NEVER if unknown */
} sl_seq_cold_row;

/* One node of the prompt tree: a run of whole blocks of tokens. Node 0 is the root. Along a path tiers are
 * device*, host*, none*: `device_blocks` of its edge come first, then `host_blocks`. */
typedef struct sl_node_row {
  uint32_t parent;       /* SL_NONE for the root and for free rows */
  uint32_t depth_blocks; /* blocks above its edge */
  uint32_t edge_blocks;
  uint32_t device_blocks, host_blocks;
  uint32_t filling; /* of device_blocks, those a submitted step is still writing */
  uint32_t waiting; /* waiting sequences whose path ends here */
  uint32_t live;    /* sequences (of any state) whose path ends here */
} sl_node_row;

enum { SL_TIER_DEVICE = 0, SL_TIER_HOST = 1, SL_TIER_NONE = 2 };
enum {
  SL_BLOCK_FLAG_INDEXED = 1,
  SL_BLOCK_FLAG_FILLING = 2,   /* a submitted step, or a copy to host memory, is still writing it */
  SL_BLOCK_FLAG_TRANSIENT = 4, /* goes when unpinned */
  SL_BLOCK_FLAG_COPYING = 8    /* a copy to or from the other tier is pending */
};

/* One block of KV. Index = block id: device blocks first, then host blocks. Evictable means indexed, refs 0. */
typedef struct sl_block_row {
  uint64_t key; /* hash of its tokens and all before it, salted by tenant and numerics; 0 if not indexed */
  uint64_t last_use_ns; /* last pin or unpin */
  uint64_t created_ns;
  uint32_t node, depth; /* position in the tree: node, and blocks above it */
  uint32_t refs, hits;  /* refs: sequences that use it; in host memory also its pending copy */
  uint16_t tier, flags;
  uint32_t cached_children; /* blocks directly below it in its tier */
  uint32_t parent;          /* the block directly above it, in either tier; SL_NONE at the top */
  uint32_t host_children;   /* blocks directly below it in host memory: they leave the cache if it does */
} sl_block_row;

#ifdef __cplusplus
}
#endif
#endif
