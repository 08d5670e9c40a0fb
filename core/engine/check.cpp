// Is a plan valid? One wrong entry refuses it whole (law 2); what merely cannot be placed is left to
// match.cpp and room.cpp.
#include <cmath>

#include "engine/engine.hpp"

namespace serveloop::engine {

std::uint16_t Engine::check_entry(const sl_entry& entry, bool gate) const {
  const Slot slot = SL_SEQ_SLOT(entry.seq);
  if (slot >= requests_->seq_table().count || SL_SEQ_GENERATION(entry.seq) == 0) return SL_REASON_UNKNOWN_ID;
  if (!requests_->alive(entry.seq)) return SL_REASON_STALE_ID;
  const sl_seq_row& r = requests_->row(slot);
  const bool waits = r.state == SL_WAITING || r.state == SL_RESERVED;
  const auto only = [](bool right) {
    return static_cast<std::uint16_t>(right ? SL_REASON_NONE : SL_REASON_WRONG_STATE);
  };
  if (gate && entry.verb != SL_PARK && entry.verb != SL_REJECT && entry.verb != SL_RELEASE)
    return SL_REASON_NOT_A_GATES_VERB;
  switch (entry.verb) {
    case SL_RUN:
    case SL_ADMIT:
      if (entry.tokens == 0) return SL_REASON_BAD_NUMBER;
      return only(entry.verb == SL_RUN ? r.state == SL_RUNNING : waits && r.not_ready == 0);
    case SL_RESERVE:
      if (entry.blocks > options_.kv_blocks) return SL_REASON_BAD_NUMBER;
      return only((waits && r.not_ready == 0) || r.state == SL_RUNNING);
    case SL_SWAP_IN:
      return only((r.state == SL_SWAPPED && (r.not_ready & ~SL_NOT_READY_TRANSFER) == 0) ||
                  (waits && options_.host_kv_blocks == 0));
    case SL_PREFETCH:
      if (entry.blocks > options_.kv_blocks) return SL_REASON_BAD_NUMBER;
      return only(waits && (r.not_ready & ~SL_NOT_READY_TRANSFER) == 0);
    case SL_PREEMPT:
      if (entry.arg > SL_YIELD_KEEP) return SL_REASON_BAD_NUMBER;
      return only(r.state == SL_RUNNING || (r.state != SL_SWAPPED && r.blocks_device > 0));
    case SL_PARK: return only((waits || r.state == SL_SWAPPED) && (gate || r.not_ready == 0));
    case SL_RELEASE: return only(r.state != SL_RUNNING);
    case SL_REJECT: return only(r.state == SL_WAITING && r.generated == 0);
    default: return SL_REASON_UNKNOWN_VERB;
  }
}

// Gauges are named in the manifest, and numbers.
std::uint16_t Engine::check_gauges(const sl_out& gauges, std::size_t names) const {
  for (std::uint32_t i = 0; i < gauges.count; ++i)
    if (gauges_[i].name >= names || !std::isfinite(gauges_[i].value)) return SL_REASON_BAD_NUMBER;
  return SL_REASON_NONE;
}

// In a replay by recorded answers nobody gave any: those of the log stand for themselves.
void Engine::log_gauges(std::uint32_t count) {
  if (override_) {
    if (const auto recorded = override_(observe::Item::gauges)) log_->item(observe::Item::gauges, *recorded);
    return;
  }
  if (count > 0)
    log(observe::Item::gauges, [&](observe::Writer& out) {
      out.u64(count);
      for (std::uint32_t i = 0; i < count; ++i) {
        out.u64(gauges_[i].name);
        out.raw(&gauges_[i].value, sizeof(gauges_[i].value));
      }
    });
}

// Marks of a check: no two are equal, so that none needs clearing.
std::uint32_t Engine::next_stamp() {
  if (++plan_stamp_ == 0) {
    for (Slot slot = 0; slot < requests_->capacity(); ++slot) requests_->checked(slot).seen = 0;
    plan_stamp_ = 1;
  }
  return plan_stamp_;
}

std::uint16_t Engine::check_plan(std::span<const sl_entry> entries, bool gate) {
  const std::uint32_t stamp = next_stamp();
  std::uint64_t tokens = 0;
  plan_frees_ = false;
  plan_decodes_ = true;
  const std::uint32_t slots = requests_->seq_table().count;
  const auto broke = [&](const sl_entry& entry, std::uint16_t reason) {
    bad_row_ = static_cast<std::uint32_t>(&entry - entries.data());
    return reason;
  };
  for (const sl_entry& entry : entries) {
    const Slot slot = SL_SEQ_SLOT(entry.seq);
    const bool runs = entry.verb == SL_RUN && slot < slots && requests_->row(slot).id == entry.seq &&
                      requests_->row(slot).state == SL_RUNNING && entry.tokens > 0 &&
                      !gate;  // the common entry
    if (!runs)
      if (const std::uint16_t reason = check_entry(entry, gate); reason != SL_REASON_NONE)
        return broke(entry, reason);
    requests::Checked& checked = requests_->checked(slot);
    if (checked.seen == stamp) return broke(entry, SL_REASON_TWICE);
    checked.seen = stamp;
    plan_decodes_ = plan_decodes_ && runs && decodes(entry, requests_->row(slot), checked.prompt_tokens);
    if (entry.verb == SL_RUN || entry.verb == SL_ADMIT) {
      tokens += std::min(entry.tokens, requests_->row(slot).runnable);
      if (entry.blocks > options_.kv_blocks) return broke(entry, SL_REASON_BAD_NUMBER);
    } else {
      plan_frees_ = true;
    }
  }
  return tokens > options_.token_budget ? SL_REASON_OVER_BUDGET : SL_REASON_NONE;
}

// Is there a sequence that a plan could have run?
bool Engine::could_run() const {
  if (requests_->ready_count() > 0 && requests_->running_count() < options_.max_sequences) return true;
  for (const Slot slot : requests_->running())
    if (requests_->row(slot).runnable > 0) return true;
  return false;
}

}  // namespace serveloop::engine
