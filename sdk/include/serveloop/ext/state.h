/* Extension "serveloop.state/1": state that outlives an instance. Handed over at a hot swap where schemas
 * match. */
#ifndef SERVELOOP_EXT_STATE_H
#define SERVELOOP_EXT_STATE_H

#include <serveloop/base.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SL_EXT_STATE "serveloop.state/1"

typedef struct sl_state {
  uint32_t struct_size, pad;
  /* [control] Names the layout of the saved bytes; two instances exchange state only if these are equal. */
  uint64_t schema;
  /* [control] Writes bytes; `out->count` may exceed `out->capacity`: then the host calls again with that much
   * room. */
  int32_t (*save)(void* self, sl_out* out);
  /* [control] Reads what an instance with an equal schema saved. */
  int32_t (*load)(void* self, const void* bytes, uint64_t size);
} sl_state;

#define SL_EXT_DUMP "serveloop.dump/1"

typedef struct sl_dump {
  uint32_t struct_size, pad;
  /* [control] A human-readable account of the instance, for the report when it is ejected. As sl_state.save.
   * */
  int32_t (*dump)(void* self, sl_out* text);
} sl_dump;

#ifdef __cplusplus
}
#endif
#endif
