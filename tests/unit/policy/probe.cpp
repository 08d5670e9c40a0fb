// A plugin that misbehaves on demand. Fields of its handshake are altered at build time by -D; what it does
// in a call is its option `behave`.
#include <serveloop/serveloop.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

#ifndef PROBE_MAGIC
#define PROBE_MAGIC SL_MAGIC
#endif
#ifndef PROBE_MAJOR
#define PROBE_MAJOR SL_ABI_MAJOR
#endif
#ifndef PROBE_MINOR
#define PROBE_MINOR SL_ABI_MINOR
#endif
#ifndef PROBE_STAMP
#define PROBE_STAMP SL_ABI_STAMP
#endif
#ifndef PROBE_KIND
#define PROBE_KIND SL_KIND_SCHEDULER
#endif
#ifndef PROBE_ID
#define PROBE_ID "probe"
#endif
#ifndef PROBE_VERSION
#define PROBE_VERSION "1.0.0"
#endif
#ifndef PROBE_SIZE
#define PROBE_SIZE sizeof(sl_plugin)
#endif
#ifndef PROBE_FUNCTIONS_SIZE
#define PROBE_FUNCTIONS_SIZE sizeof(functions)
#endif
#ifndef PROBE_CREATE
#define PROBE_CREATE create
#endif
#ifndef PROBE_ANSWER
#define PROBE_ANSWER 1
#endif
#ifndef PROBE_SCHEMA
#define PROBE_SCHEMA 7
#endif
#ifndef PROBE_SYMBOL
#define PROBE_SYMBOL serveloop_plugin
#endif

namespace {

// Leaves a trace when the object is opened.
struct Trace {
  Trace() {
    const char* path = std::getenv("PROBE_TRACE");
    if (path == nullptr) return;
    if (std::FILE* file = std::fopen(path, "w")) std::fclose(file);
  }
} trace;

struct Probe {
  std::string behave;
  uint64_t calls = 0;
};

std::string option(const sl_create* in, const char* name) {
  for (uint32_t i = 0; i < in->options.count; ++i) {
    const auto* row = reinterpret_cast<const sl_option*>(static_cast<const char*>(in->options.base) +
                                                         std::size_t{i} * in->options.stride);
    if (std::string(row->name.data, row->name.size) == name)
      return std::string(row->text.data, row->text.size);
  }
  return {};
}

[[maybe_unused]] int32_t create(const sl_create* in, void** self) {
  const std::string behave = option(in, "behave");
  if (behave == "throw at create") throw std::runtime_error("thrown by create");
  if (behave == "refuse") {
    std::snprintf(in->error, in->error_capacity, "it does not like its options");
    return SL_BAD_OPTION;
  }
  *self = new Probe{behave};
  return SL_OK;
}

void destroy(void* self) {
  const auto* probe = static_cast<Probe*>(self);
  const bool throws = probe->behave == "throw at destroy";
  delete probe;
  if (throws) throw std::runtime_error("thrown by destroy");
}

int32_t answer(Probe* probe, sl_out* rows, sl_out* gauges) {
  ++probe->calls;
  if (probe->behave == "throw") throw std::runtime_error("thrown by a call");
  if (probe->behave == "throw an int") throw 3;
  if (probe->behave == "fail" || probe->behave == "fail at length" || probe->behave == "fail without a word")
    return SL_ERROR;
  if (probe->behave == "fail with our code") return -100;
  if (probe->behave == "fill") {
    std::memset(rows->base, 0, std::size_t{rows->stride} * rows->capacity);
    rows->count = rows->capacity;
    return SL_OK;
  }
  std::memset(rows->base, 0, rows->stride);
  *static_cast<sl_seq*>(rows->base) = (sl_seq{PROBE_ANSWER} << 32) | 5;
  rows->count = 1;
  if (probe->behave == "overflow") rows->count = rows->capacity + 1;
  if (probe->behave == "overflow gauges") gauges->count = gauges->capacity + 1;
  if (probe->behave == "grow the buffer") rows->capacity = rows->count = 1000000;
  if (probe->behave == "move the buffer") rows->base = &trace;
  return SL_OK;
}

#ifdef PROBE_EVICTION
int32_t evict(void* self, const sl_evict_in*, sl_out* victims, sl_out* gauges) {
  return answer(static_cast<Probe*>(self), victims, gauges);
}
const sl_eviction functions{sizeof(sl_eviction), 0, evict, nullptr};
#else
int32_t plan(void* self, const sl_view*, sl_out* entries, sl_out* gauges) {
  return answer(static_cast<Probe*>(self), entries, gauges);
}
int32_t note(void* self, const sl_view*) {
  if (static_cast<Probe*>(self)->behave == "throw") throw std::runtime_error("thrown by note");
  return SL_OK;
}
const sl_scheduler functions{PROBE_FUNCTIONS_SIZE, 0, plan, note};
#endif

int32_t save(void* self, sl_out* out) {
  const auto* probe = static_cast<Probe*>(self);
  const std::string bytes(probe->behave == "save much" ? 100000 : 8, static_cast<char>('0' + probe->calls));
  std::memcpy(out->base, bytes.data(), bytes.size() < out->capacity ? bytes.size() : out->capacity);
  out->count = static_cast<uint32_t>(bytes.size());
  return SL_OK;
}

int32_t load(void* self, const void* bytes, uint64_t size) {
  if (static_cast<Probe*>(self)->behave == "refuse state") return SL_BAD_STATE;
  if (size == 0) return SL_BAD_STATE;
  static_cast<Probe*>(self)->calls = static_cast<uint64_t>(*static_cast<const char*>(bytes) - '0');
  return SL_OK;
}

int32_t dump(void* self, sl_out* out) {
  const std::string text = "probe called " + std::to_string(static_cast<Probe*>(self)->calls) + " times";
  if (text.size() <= out->capacity) std::memcpy(out->base, text.data(), text.size());
  out->count = static_cast<uint32_t>(text.size());
  return SL_OK;
}

const sl_state state{sizeof(sl_state), 0, PROBE_SCHEMA, save, load};
sl_text last(void* self) {
  static const std::string long_text(100000, 'x');
  const std::string& behave = static_cast<Probe*>(self)->behave;
  if (behave == "fail with our code") throw std::runtime_error("thrown by last");
  if (behave == "fail at length") return {long_text.data(), long_text.size()};
  if (behave == "fail without a word") return {nullptr, 7};
  return {"a bad\nday", 9};
}
const sl_error errors{sizeof(sl_error), 0, last};
const sl_dump dumps{sizeof(sl_dump), 0, dump};

const void* extension(const char* id) {
  if (std::strcmp(id, SL_EXT_STATE) == 0) return &state;
  if (std::strcmp(id, SL_EXT_DUMP) == 0) return &dumps;
  if (std::strcmp(id, SL_EXT_ERROR) == 0) return &errors;
  return nullptr;
}

}  // namespace

extern "C" SL_EXPORT const sl_plugin PROBE_SYMBOL;
const sl_plugin PROBE_SYMBOL = {PROBE_MAGIC,  PROBE_SIZE, PROBE_MAJOR, PROBE_MINOR,   PROBE_STAMP,
                                PROBE_KIND,   0,          PROBE_ID,    PROBE_VERSION, &functions,
                                PROBE_CREATE, destroy,    extension};
