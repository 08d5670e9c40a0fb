/* A complete scheduler in one C11 file: all that run go on, then ready ones start in the order in which they
 * became ready.
 *
 * Its state is a doubly linked list over sequence slots, kept by events; entry `slots` is the list's end.
 * Build it with gcc $(pkg-config --variable=c_cflags serveloop-sdk) mine.c -o mine.so $(pkg-config --libs serveloop-sdk)
 */
#include <serveloop/serveloop.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct mine {
  uint32_t slots;        /* capacity of the seqs table */
  uint32_t *next, *prev; /* [slots + 1]; SL_NONE = not in the list */
} mine;

static const sl_seq_row* seq_at(const sl_view* view, uint32_t slot) {
  return (const sl_seq_row*)((const char*)view->seqs.base + (size_t)slot * view->seqs.stride);
}

static uint32_t min_u32(uint32_t a, uint32_t b) { return a < b ? a : b; }

static void leave(mine* m, uint32_t slot) {
  if (m->next[slot] == SL_NONE) return;
  m->next[m->prev[slot]] = m->next[slot];
  m->prev[m->next[slot]] = m->prev[slot];
  m->next[slot] = m->prev[slot] = SL_NONE;
}

static void join(mine* m, uint32_t slot) {
  const uint32_t end = m->slots;
  leave(m, slot); /* the same event may come twice */
  const uint32_t last = m->prev[end];
  m->next[last] = slot;
  m->prev[slot] = last;
  m->next[slot] = end;
  m->prev[end] = slot;
}

/* An event tells what happened, the row how things stand now: only who may be admitted now joins. */
static void hear(mine* m, const sl_view* view) {
  for (uint32_t i = 0; i < view->events.count; ++i) {
    const sl_event* event =
        (const sl_event*)((const char*)view->events.base + (size_t)i * view->events.stride);
    const uint32_t slot = SL_SEQ_SLOT(event->subject);
    switch (event->kind) {
      case SL_EV_READY:
      case SL_EV_PREEMPTED:
      case SL_EV_RESUMED: {
        const sl_seq_row* seq = seq_at(view, slot);
        if (seq->id == event->subject && (seq->state == SL_WAITING || seq->state == SL_RESERVED) &&
            seq->not_ready == 0)
          join(m, slot);
        break;
      }
      case SL_EV_ADMITTED:
      case SL_EV_PARKED:
      case SL_EV_PAUSED:
      case SL_EV_ENDED: leave(m, slot); break;
      default: break; /* later minors add kinds */
    }
  }
}

static void put(sl_out* entries, const sl_seq_row* seq, uint16_t verb, uint32_t tokens) {
  const sl_entry entry = {.seq = seq->id, .verb = verb, .tokens = tokens};
  if (entries->count < entries->capacity)
    *(sl_entry*)((char*)entries->base + (size_t)entries->count * entries->stride) = entry;
  ++entries->count;
}

static int32_t plan(void* self, const sl_view* view, sl_out* entries, sl_out* gauges) {
  mine* m = self;
  uint32_t budget = view->token_budget, slots = view->max_sequences - view->running_count;
  (void)gauges;
  hear(m, view);
  for (uint32_t i = 0; i < view->running.count; ++i) {
    const uint32_t* slot =
        (const uint32_t*)((const char*)view->running.base + (size_t)i * view->running.stride);
    const sl_seq_row* seq = seq_at(view, *slot);
    const uint32_t tokens = min_u32(seq->runnable, budget);
    if (tokens > 0) put(entries, seq, SL_RUN, tokens);
    budget -= tokens;
  }
  for (uint32_t slot = m->next[m->slots]; slot != m->slots && slots > 0; slot = m->next[slot]) {
    const sl_seq_row* seq = seq_at(view, slot);
    const uint32_t tokens = min_u32(seq->runnable, budget);
    if (tokens == 0) break;
    put(entries, seq, SL_ADMIT, tokens);
    budget -= tokens;
    --slots;
  }
  return SL_OK;
}

static int32_t note(void* self, const sl_view* view) {
  hear(self, view);
  return SL_OK;
}

static void destroy(void* self) {
  mine* m = self;
  free(m->next);
  free(m->prev);
  free(m);
}

static int32_t create(const sl_create* in, void** self) {
  const uint32_t slots = in->sequence_slots;
  mine* m = calloc(1, sizeof *m);
  if (m != NULL) {
    m->slots = slots;
    m->next = malloc(((size_t)slots + 1) * sizeof *m->next);
    m->prev = malloc(((size_t)slots + 1) * sizeof *m->prev);
  }
  if (m == NULL || m->next == NULL || m->prev == NULL) {
    if (m != NULL) destroy(m);
    snprintf(in->error, in->error_capacity, "out of memory");
    return SL_ERROR;
  }
  for (uint32_t slot = 0; slot < slots; ++slot) m->next[slot] = m->prev[slot] = SL_NONE;
  m->next[slots] = m->prev[slots] = slots;
  *self = m;
  return SL_OK;
}

static const void* extension(const char* id) {
  (void)id;
  return NULL;
}

static const sl_scheduler functions = {.struct_size = sizeof(sl_scheduler), .plan = plan, .note = note};

SL_EXPORT const sl_plugin serveloop_plugin = {
    .magic = SL_MAGIC,
    .struct_size = sizeof(sl_plugin),
    .abi_major = SL_ABI_MAJOR,
    .abi_minor = SL_ABI_MINOR,
    .stamp = SL_ABI_STAMP,
    .kind = SL_KIND_SCHEDULER,
    .id = "mine",
    .version = "0.1.0",
    .functions = &functions,
    .create = create,
    .destroy = destroy,
    .extension = extension,
};
