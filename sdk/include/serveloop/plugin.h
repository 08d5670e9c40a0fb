/* The one exported symbol of a plugin, and how the host shakes hands with it. */
#ifndef SERVELOOP_PLUGIN_H
#define SERVELOOP_PLUGIN_H

#include <serveloop/base.h>
#include <serveloop/cost.h>
#include <serveloop/stamp.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SL_MAGIC 0x4e49474c504c5653u /* "SVLPLGIN", read as bytes */
#define SL_ABI_MAJOR 0
#define SL_ABI_MINOR 2

#define SL_EXPORT __attribute__((visibility("default")))

enum { SL_KIND_SCHEDULER = 1, SL_KIND_EVICTION = 2, SL_KIND_PREEMPTION = 3, SL_KIND_PRECISION = 4 };

/* One option after the host checked it against the manifest: every declared option is there, defaults filled
 * in. */
enum {
  SL_OPTION_BOOLEAN = 1,
  SL_OPTION_INTEGER,
  SL_OPTION_NUMBER,
  SL_OPTION_TEXT,
  SL_OPTION_LIST /* of texts, one per row */
};
typedef struct sl_option {
  sl_text name;
  uint32_t type, pad;
  int64_t integer; /* also booleans: 0 or 1 */
  double number;   /* also integers */
  sl_text text;
} sl_option;

/* What a new instance is told. All of it lives for the call only. */
typedef struct sl_create {
  uint32_t struct_size, kind;
  sl_table options;        /* sl_option */
  uint64_t seed;           /* the only randomness a policy may use */
  uint32_t sequence_slots; /* capacity of the seqs table */
  uint32_t blocks[2];      /* blocks per tier */
  uint32_t block_tokens, token_budget, max_sequences, lag, is_gate;
  const sl_cost* cost;
  char* error; /* a zero-terminated line for a refusal */
  uint32_t error_capacity, pad;
} sl_create;

/* `struct_size` is the offset of the last field the plugin knows plus its size; so are those of the function
 * tables. */
typedef struct sl_plugin {
  uint64_t magic;
  uint32_t struct_size;
  uint16_t abi_major, abi_minor;
  uint64_t stamp; /* SL_ABI_STAMP; must be equal while the major is 0 */
  uint32_t kind, pad;
  const char *id, *version;
  const void* functions; /* sl_scheduler, sl_eviction, sl_preemption or sl_precision */
  /* [control] Makes an instance, or returns a negative status and a line in in->error. */
  int32_t (*create)(const sl_create* in, void** self);
  /* [control] */
  void (*destroy)(void* self);
  /* [control] A function table by string id with a revision ("serveloop.state/1"), null where absent. */
  const void* (*extension)(const char* id);
} sl_plugin;

/* A plugin defines exactly this: `SL_EXPORT const sl_plugin serveloop_plugin = {...};` */
#define SL_PLUGIN_SYMBOL "serveloop_plugin"

#ifdef __cplusplus
}
#endif
#endif
