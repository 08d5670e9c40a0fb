#include "experiment/shown.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "engine/decisions.hpp"
#include "engine/records.hpp"

namespace serveloop::experiment {

namespace {

using observe::Item;
using Bytes = std::span<const std::uint8_t>;

// An answer as shown: its rows' texts, or one text for the whole.
struct Shown {
  std::string whole;  // where it has no rows
  const char* unit = "";
  std::vector<std::string> rows;

  // From row `from` on, a screenful.
  std::string text(std::size_t from) const {
    constexpr std::size_t kMost = 24;
    if (!whole.empty()) return whole;
    std::string out = fmt::format("{} {}{}", rows.size(), unit, from < rows.size() ? ":" : "");
    if (from > 0 && from < rows.size()) out += fmt::format(" {} equal,", from);
    for (std::size_t i = from; i < std::min(rows.size(), from + kMost); ++i)
      out += fmt::format(" [{}] {}", i, rows[i]);
    return out + (rows.size() > from + kMost ? " ..." : "");
  }
};

Shown show_plan(Bytes bytes, const engine::Engine& engine) {
  observe::Reader in(bytes);
  if (const std::uint64_t reason = in.u64(); reason != 0)
    return {fmt::format("no usable answer (reason {})", reason)};
  std::vector<sl_entry> entries(engine.requests().capacity());
  auto& requests = const_cast<requests::Manager&>(engine.requests());
  const Result<std::uint32_t> count = engine::decode_plan(in, requests.running(), requests, entries);
  if (!count) return {"cannot be read"};
  Shown out{{}, "entries", {}};
  for (std::uint32_t i = 0; i < *count; ++i) {
    const sl_entry& e = entries[i];
    out.rows.push_back(fmt::format("{} {}.{} x{}", engine::verb_name(e.verb), SL_SEQ_SLOT(e.seq),
                                   SL_SEQ_GENERATION(e.seq), e.tokens));
    if (e.reason != 0) out.rows.back() += fmt::format(" reason {}", e.reason);
  }
  return out;
}

Shown show_rows(Item tag, Bytes bytes) {
  observe::Reader in(bytes);
  if (const std::uint64_t reason = in.u64(); reason != 0)
    return {fmt::format("no usable answer (reason {})", reason)};
  Shown out{{}, tag == Item::evict ? "victims" : "yields", {}};
  if (tag == Item::evict) {
    std::vector<sl_victim> rows(bytes.size());
    const auto count = engine::decode_rows(in, std::span(rows));
    for (std::uint32_t i = 0; i < count.value_or(0); ++i)
      out.rows.push_back(fmt::format("block {}", rows[i].block));
  } else {
    std::vector<sl_yield> rows(bytes.size());
    const auto count = engine::decode_rows(in, std::span(rows));
    for (std::uint32_t i = 0; i < count.value_or(0); ++i)
      out.rows.push_back(fmt::format("{}.{} mode {}", SL_SEQ_SLOT(rows[i].seq),
                                     SL_SEQ_GENERATION(rows[i].seq), rows[i].mode));
  }
  return out;
}

Shown show(Item tag, Bytes bytes, const engine::Engine& engine) {
  if (tag == Item{}) return {"nothing more"};
  if (tag == Item::plan || tag == Item::gate) return show_plan(bytes, engine);
  if (tag == Item::evict || tag == Item::preempt) return show_rows(tag, bytes);
  Shown out{{}, "bytes", {}};
  for (const std::uint8_t byte : bytes) out.rows.push_back(fmt::format("{:02x}", byte));
  return out;
}

}  // namespace

std::pair<std::string, std::string> show_both(const LogItem& recorded, const LogItem& replayed,
                                              const engine::Engine& engine) {
  const Shown a = show(recorded.tag, recorded.bytes, engine), b = show(replayed.tag, replayed.bytes, engine);
  std::size_t from = 0;
  if (recorded.tag == replayed.tag)
    while (from < std::min(a.rows.size(), b.rows.size()) && a.rows[from] == b.rows[from]) ++from;
  // Answers that differ in what is not shown: all of it.
  if (from == a.rows.size() && from == b.rows.size()) from = 0;
  return {a.text(from), b.text(from)};
}

}  // namespace serveloop::experiment
