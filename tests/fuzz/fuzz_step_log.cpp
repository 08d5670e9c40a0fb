// Any bytes are a step log, or an error: its frames, its header, its messages and its answers.
#include <cstdint>
#include <cstdlib>

#include "base/mapping.hpp"
#include "engine/records.hpp"
#include "rig/log_header.hpp"
#include "rig/recording_executor.hpp"

using namespace serveloop;

namespace {

void read_item(const observe::StepRecord::Entry& item, const requests::Manager& requests) {
  observe::Reader in(item.bytes);
  switch (item.tag) {
    case observe::Item::message: {
      Result<engine::Message> message = engine::decode_message(in);
      if (!message) return;
      observe::Writer out;
      engine::encode(*message, out);
      observe::Reader again(out.bytes());
      if (!engine::decode_message(again)) std::abort();
      return;
    }
    case observe::Item::plan:
    case observe::Item::gate: {
      sl_entry entries[64];
      const Result<std::uint32_t> count = engine::decode_plan(in, {}, requests, entries);
      if (count && *count > 64) std::abort();
      return;
    }
    case observe::Item::evict: {
      sl_victim victims[64];
      if (const auto count = engine::decode_rows(in, std::span<sl_victim>(victims)); count && *count > 64)
        std::abort();
      return;
    }
    case observe::Item::preempt: {
      sl_yield yields[64];
      if (const auto count = engine::decode_rows(in, std::span<sl_yield>(yields)); count && *count > 64)
        std::abort();
      return;
    }
    case observe::Item::ended: engine::decode_end(in); return;
    case observe::Item::collected: {
      rig::CollectedParts parts;
      rig::decode_collected(in, parts);
      return;
    }
    default: return;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Mapping mapping = std::move(*Mapping::create(std::size_t{1} << 34));
  static const requests::Manager requests(mapping, {16, 4});
  auto reader = observe::LogReader::over({data, size});
  if (!reader) return 0;
  rig::decode_log_header((*reader)->header());
  observe::StepRecord step;
  while (true) {
    const Result<bool> more = (*reader)->next(step);
    if (!more || !*more) return 0;
    for (const auto& item : step.items) read_item(item, requests);
  }
}
