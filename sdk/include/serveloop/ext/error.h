/* Extension "serveloop.error/1": why a call failed, in words. The C++ layer offers it for every policy. */
#ifndef SERVELOOP_EXT_ERROR_H
#define SERVELOOP_EXT_ERROR_H

#include <serveloop/base.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SL_EXT_ERROR "serveloop.error/1"

typedef struct sl_error {
  uint32_t struct_size, pad;
  /* [step] Asked on the same thread right after a call to `self` returned a negative status. The text lives
   * until the next call on that thread; the host copies it. Size 0 where nothing is known. One line, UTF-8;
   * the host may clip it. */
  sl_text (*last)(void* self);
} sl_error;

#ifdef __cplusplus
}
#endif
#endif
