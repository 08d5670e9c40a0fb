#include "experiment/shown.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>
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

// What most answers leave at 0 is shown where it is not.
void add_unless_zero(std::string& row, const char* name, std::uint64_t value) {
  if (value == SL_NEVER)
    row += fmt::format(" {} never", name);
  else if (value != 0)
    row += fmt::format(" {} {}", name, value);
}

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
    std::string row = fmt::format("{} {}.{} x{}", engine::verb_name(e.verb), SL_SEQ_SLOT(e.seq),
                                  SL_SEQ_GENERATION(e.seq), e.tokens);
    add_unless_zero(row, "blocks", e.blocks);
    add_unless_zero(row, "drafts", e.drafts);
    add_unless_zero(row, "arg", e.arg);
    add_unless_zero(row, "reason", e.reason);
    out.rows.push_back(std::move(row));
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
    for (std::uint32_t i = 0; i < count.value_or(0); ++i) {
      std::string row = fmt::format("block {} key {:016x}", rows[i].block, rows[i].key);
      if (rows[i].to != SL_TIER_NONE) row += fmt::format(" to tier {}", rows[i].to);
      add_unless_zero(row, "reason", rows[i].reason);
      out.rows.push_back(std::move(row));
    }
  } else {
    std::vector<sl_yield> rows(bytes.size());
    const auto count = engine::decode_rows(in, std::span(rows));
    for (std::uint32_t i = 0; i < count.value_or(0); ++i) {
      std::string row = fmt::format("{}.{} mode {}", SL_SEQ_SLOT(rows[i].seq), SL_SEQ_GENERATION(rows[i].seq),
                                    rows[i].mode);
      add_unless_zero(row, "keep_blocks", rows[i].keep_blocks);
      add_unless_zero(row, "reason", rows[i].reason);
      out.rows.push_back(std::move(row));
    }
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
  return {a.text(from), b.text(from)};
}

}  // namespace serveloop::experiment
