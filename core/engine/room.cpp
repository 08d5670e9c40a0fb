// Parts 5 and 6 of a step: making room. Evict; then ask who yields, for the first entry in need; then let
// entries fall.
//
// Progress: the first entry of a plan always fits in the end, since intake refused what the pool cannot hold
// alone and the fallback takes over from a preemption policy that names nobody for it.
#include <serveloop/cost.h>

#include <algorithm>

#include "engine/ask.hpp"
#include "engine/engine.hpp"
#include "engine/fallback.hpp"
#include "engine/records.hpp"

namespace serveloop::engine {

void Engine::make_room() {
  while (true) {
    const sl_tier tier = cache_->tier(SL_TIER_DEVICE);
    if (need_ <= tier.free) return;
    const std::uint32_t missing = need_ - tier.free;
    if (tier.evictable > 0) {
      if (evict(std::min(missing, tier.evictable)) == 0) break;
      continue;
    }
    const std::size_t in_need = entry_in_need();
    if (drop_admissions(in_need + 1, staged_.size(), SL_REASON_MEMORY))
      continue;                         // they would fall before it; may be enough
    if (admits_before(in_need)) break;  // nobody yields in a step that admits others
    list_candidates(in_need);
    if (candidate_count_ == 0) break;
    if (!preempt_for(in_need, need_up_to(in_need) - tier.free)) break;
  }
  fall_from_tail();
}

// Asks the policy; a wrong answer, or a failed call, is the fallback's. Evicts at least `need` blocks.
std::uint32_t Engine::evict(std::uint32_t need) {
  publish_view();  // memory is not as it was when the plan was asked for
  refresh_view();
  sl_evict_in in{};
  in.view = &view_;
  in.events = cache_->block_events();
  in.need[SL_TIER_DEVICE] = need;
  in.ahead[SL_TIER_DEVICE] = need_;
  sl_out victims = out_of(victims_, options_.kv_blocks);
  sl_out gauges = out_of(gauges_, kGauges);
  std::uint16_t reason = ask(
      observe::Item::evict, policies_.eviction.get(), victims,
      [&](observe::Writer& out) { encode_rows(std::span<const sl_victim>(victims_, victims.count), out); },
      [&](observe::Reader& bytes) {
        return decode_rows(bytes, std::span<sl_victim>(victims_, options_.kv_blocks));
      },
      [&](policy::Eviction& p) { return p.evict(in, victims, gauges); });
  if (reason != SL_REASON_CALL_FAILED)
    cache_->clear_block_events();  // told; a call that failed may not have read them
  if (reason == SL_REASON_NONE) reason = cache_->check({victims_, victims.count}, need);
  if (policies_.eviction != nullptr) {
    if (reason == SL_REASON_NONE)
      policies_.eviction->health().good();
    else
      refused(policy::Kind::eviction, *policies_.eviction, reason);
    eject_if_failing(policy::Kind::eviction, policies_.eviction);
  }
  if (reason != SL_REASON_NONE) {
    const std::vector<sl_victim> own = cache_->fallback_victims(need);
    std::copy(own.begin(), own.end(), victims_);
    victims.count = static_cast<std::uint32_t>(own.size());
  }
  const std::uint32_t freed = cache_->apply({victims_, victims.count});
  counters_.evicted_blocks += freed;
  mark(Phase::policy, victims.count);
  return freed;
}

std::uint32_t Engine::need_up_to(std::size_t index) const {
  std::uint32_t need = 0;
  for (std::size_t i = 0; i <= index; ++i) need += staged_[i].fallen ? 0 : staged_[i].need;
  return need;
}

// The first entry that what is free does not cover.
std::size_t Engine::entry_in_need() const {
  const std::uint32_t free = cache_->tier(SL_TIER_DEVICE).free;
  std::uint32_t need = 0;
  std::size_t i = 0;
  for (; i + 1 < staged_.size(); ++i) {
    need += staged_[i].fallen ? 0 : staged_[i].need;
    if (need > free) break;
  }
  return i;
}

// All holders of device blocks ranked below the entry in need: in plan rank, those not in the plan last.
void Engine::list_candidates(std::size_t in_need) {
  candidate_count_ = 0;
  const std::uint32_t stamp = next_stamp();
  std::uint32_t can = SL_CAN_RECOMPUTE | SL_CAN_KEEP;
  if (options_.host_kv_blocks > 0) can |= SL_CAN_SWAP;
  const auto add = [&](Slot slot, std::uint32_t rank) {
    const sl_seq_row& r = row(slot);
    const std::uint32_t frees = cache_->frees(slot, 0);
    if (r.blocks_device == 0 || frees == 0) return;
    const std::uint32_t tokens = known_tokens(slot);
    candidates_[candidate_count_++] = {
        r.id,
        frees,
        tokens,
        rank,
        can,
        static_cast<std::uint64_t>(sl_predict_prefill_ns(&options_.cost, 0, tokens)),
        static_cast<std::uint64_t>(sl_predict_swap_ns(&options_.cost, frees))};
  };
  for (std::size_t i = 0; i < staged_.size(); ++i) {
    const Staged& staged = staged_[i];
    requests_->at(staged.slot).seen = staged.fallen ? 0 : stamp;
    if (i > in_need && !staged.fallen && !staged.admits) add(staged.slot, static_cast<std::uint32_t>(i));
  }
  for (const Slot slot : requests_->running())
    if (requests_->at(slot).seen != stamp) add(slot, SL_NONE);
  for (const Slot slot : requests_->holders())
    if (requests_->at(slot).seen != stamp) add(slot, SL_NONE);
}

// A step that preempts admits only the entry it preempts for: where entries before it are admitted, it waits
// for its turn.
bool Engine::admits_before(std::size_t in_need) const {
  for (std::size_t i = 0; i < in_need; ++i)
    if (staged_[i].admits && !staged_[i].fallen) return true;
  return false;
}

// Lets admissions fall; what they had pinned must not keep a candidate's blocks from counting as freed.
bool Engine::drop_admissions(std::size_t from, std::size_t to, std::uint16_t reason) {
  bool dropped = false;
  for (std::size_t i = to; i-- > from;) {
    if (staged_[i].fallen || !staged_[i].admits) continue;
    fell(staged_[i], reason);
    dropped = true;
  }
  return dropped;
}

bool Engine::preempt_for(std::size_t in_need, std::uint32_t need) {
  publish_view();
  const sl_seq for_seq = row(staged_[in_need].slot).id;
  refresh_view();
  sl_preempt_in in{&view_, for_seq, table_of(candidates_, candidate_count_), need, 0};
  sl_out yields = out_of(yields_, candidate_count_);
  sl_out gauges = out_of(gauges_, kGauges);
  std::uint16_t reason = ask(
      observe::Item::preempt, policies_.preemption.get(), yields,
      [&](observe::Writer& out) { encode_rows(std::span<const sl_yield>(yields_, yields.count), out); },
      [&](observe::Reader& bytes) {
        return decode_rows(bytes, std::span<sl_yield>(yields_, candidate_count_));
      },
      [&](policy::Preemption& p) { return p.preempt(in, yields, gauges); });
  if (reason == SL_REASON_NONE) reason = check_yields({yields_, yields.count});
  const bool first = need_up_to(in_need) == staged_[in_need].need;  // nothing before it needs a block
  if (reason == SL_REASON_NONE && yields.count == 0 && first) reason = SL_REASON_NO_PROGRESS;
  if (policies_.preemption != nullptr) {
    if (reason == SL_REASON_NONE)
      policies_.preemption->health().good();
    else
      refused(policy::Kind::preemption, *policies_.preemption, reason);
    eject_if_failing(policy::Kind::preemption, policies_.preemption);
  }
  if (reason != SL_REASON_NONE)
    yields.count = fallback::preempt({candidates_, candidate_count_}, need, {yields_, candidate_count_});
  mark(Phase::policy, yields.count);
  for (std::uint32_t i = 0; i < yields.count; ++i)
    yield(SL_SEQ_SLOT(yields_[i].seq), yields_[i].mode, yields_[i].keep_blocks, yields_[i].reason, for_seq);
  return yields.count > 0;
}

std::uint16_t Engine::check_yields(std::span<const sl_yield> yields) {
  const std::uint32_t candidates = next_stamp();
  for (std::uint32_t i = 0; i < candidate_count_; ++i)
    requests_->at(SL_SEQ_SLOT(candidates_[i].seq)).seen = candidates;
  const std::uint32_t named = next_stamp();
  for (const sl_yield& y : yields) {
    const Slot slot = SL_SEQ_SLOT(y.seq);
    if (slot >= requests_->seq_table().count) return SL_REASON_UNKNOWN_ID;
    if (!requests_->alive(y.seq)) return SL_REASON_STALE_ID;
    std::uint32_t& seen = requests_->at(slot).seen;
    if (seen == named) return SL_REASON_TWICE;
    if (seen != candidates) return SL_REASON_NOT_A_CANDIDATE;
    if (y.mode > SL_YIELD_KEEP) return SL_REASON_BAD_NUMBER;
    seen = named;
  }
  return SL_REASON_NONE;
}

// A holder gives up its blocks: all, or all but the first `keep_blocks`. Without a host tier, swap is
// recompute.
void Engine::yield(Slot slot, std::uint64_t mode, std::uint32_t keep_blocks, std::uint16_t reason,
                   sl_seq for_seq) {
  const sl_seq_row& r = row(slot);
  if (mode == SL_YIELD_SWAP && options_.host_kv_blocks == 0) reason = SL_REASON_NO_HOST_TIER;
  const std::uint32_t full = (r.computed + r.in_flight_max) / options_.block_tokens;
  const std::uint32_t keep = mode == SL_YIELD_KEEP ? std::min(keep_blocks, full) : 0;
  if (r.state == SL_RUNNING) {
    free_rows_.push_back(requests_->at(slot).row);
    cache_->set_waiting(slot, true);
  }
  release_to(slot, std::min(keep, r.blocks_device));
  requests_->preempt(slot, reason, for_seq, now_ns_);
  requests_->set_holder(slot, r.blocks_device > 0);
  for (Staged& staged : staged_)
    if (staged.slot == slot && !staged.fallen) {
      staged.fallen = true;
      need_ -= staged.need;
      placed_tokens_ -= staged.tokens;
    }
  if (r.state != SL_PAUSED) transition(slot, observe::State::unnamed);
  ++counters_.preemptions;
}

// What still does not fit falls from the plan's end; so falls whatever would have hit blocks that it would
// have filled.
void Engine::fall_from_tail() {
  for (std::size_t i = staged_.size(); i-- > 0;) {
    const sl_tier tier = cache_->tier(SL_TIER_DEVICE);
    if (need_ <= tier.free) return;
    if (tier.evictable > 0) {  // unpinned by what fell
      if (evict(std::min(need_ - tier.free, tier.evictable)) > 0) ++i;
      continue;
    }
    if (!staged_[i].fallen && staged_[i].need > 0) fell(staged_[i], SL_REASON_MEMORY);
  }
}

}  // namespace serveloop::engine
