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
#include "engine/reservation.hpp"

namespace serveloop::engine {

void Engine::make_room() {
  while (true) {
    const sl_tier tier = cache_->tier(SL_TIER_DEVICE);
    const std::uint64_t coming = std::uint64_t{tier.free} + leaving_;  // once copies have ended
    if (need_ <= coming) break;
    const std::uint64_t missing = need_ - coming;
    if (tier.evictable > 0) {
      if (evict(block_count(std::min<std::uint64_t>(missing, tier.evictable))) == 0) break;
      continue;
    }
    const std::size_t in_need = entry_in_need();
    if (staged_[in_need].verb == SL_PREFETCH &&
        !staged_[in_need].fallen) {  // nobody yields for what may be of use
      fell(staged_[in_need], SL_REASON_MEMORY);
      continue;
    }
    if (drop_admissions(in_need + 1, staged_.size(), SL_REASON_MEMORY))
      continue;                         // they would fall before it; may be enough
    if (admits_before(in_need)) break;  // nobody yields in a step that admits others
    list_candidates(in_need, false);
    if (candidate_count_ == 0) list_candidates(in_need, true);
    if (candidate_count_ == 0) break;
    if (!preempt_for(in_need, block_count(need_up_to(in_need) - coming))) break;
  }
  fall_from_tail();
  evict_ahead();
}

std::uint64_t Engine::need_up_to(std::size_t index) const {
  std::uint64_t need = 0;
  for (std::size_t i = 0; i <= index; ++i) need += staged_[i].fallen ? 0 : staged_[i].need;
  return need;
}

// The first entry that what is free, or will be once copies have ended, does not cover.
std::size_t Engine::entry_in_need() const {
  const std::uint64_t free = std::uint64_t{cache_->tier(SL_TIER_DEVICE).free} + leaving_;
  std::uint64_t need = 0;
  std::size_t i = 0;
  for (; i + 1 < staged_.size(); ++i) {
    need += staged_[i].fallen ? 0 : staged_[i].need;
    if (need > free) break;
  }
  return i;
}

// All holders of device blocks ranked below the entry in need: in plan rank, those not in the plan last. Those whose
// blocks others hold too free nothing by themselves; they are named where there is nobody else (`shared`).
void Engine::list_candidates(std::size_t in_need, bool shared) {
  candidate_count_ = 0;
  const std::uint32_t stamp = next_stamp();
  const sl_tier host = cache_->tier(SL_TIER_HOST);
  const auto add = [&](Slot slot, std::uint32_t rank) {
    const sl_seq_row& r = row(slot);
    const std::uint32_t frees = cache_->frees(slot, 0);
    if (r.blocks_device == 0 || (frees == 0) != shared || in_transit(slot)) return;
    const std::uint32_t tokens = known_tokens(slot);
    std::uint32_t can = SL_CAN_RECOMPUTE | SL_CAN_KEEP;
    const std::uint32_t moves = host.total > 0 ? swappable(slot) : 0;
    if (moves > 0 && moves <= host.free + host.evictable) can |= SL_CAN_SWAP;
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
    requests_->checked(staged.slot).seen = staged.fallen ? 0 : stamp;
    if (i > in_need && !staged.fallen && !staged.enters()) add(staged.slot, static_cast<std::uint32_t>(i));
  }
  for (const Slot slot : requests_->running())
    if (requests_->checked(slot).seen != stamp) add(slot, SL_NONE);
  for (const Slot slot : requests_->holders())
    if (requests_->checked(slot).seen != stamp) add(slot, SL_NONE);
}

// A step that preempts admits only the entry it preempts for: where entries before it are admitted, it waits
// for its turn.
bool Engine::admits_before(std::size_t in_need) const {
  for (std::size_t i = 0; i < in_need; ++i)
    if (staged_[i].enters() && !staged_[i].fallen) return true;
  return false;
}

// Lets admissions fall; what they had pinned must not keep a candidate's blocks from counting as freed.
bool Engine::drop_admissions(std::size_t from, std::size_t to, std::uint16_t reason) {
  bool dropped = false;
  for (std::size_t i = to; i-- > from;) {
    if (staged_[i].fallen || !staged_[i].enters()) continue;
    fell(staged_[i], reason);
    dropped = true;
  }
  return dropped;
}

bool Engine::preempt_for(std::size_t in_need, std::uint32_t need) {
  publish_view();
  const sl_seq for_seq = row(staged_[in_need].slot).id;
  sl_preempt_in in{&view_, for_seq, table_of(candidates_, candidate_count_), need, 0};
  sl_out yields = out_of(yields_, candidate_count_);
  std::uint16_t reason = ask(
      observe::Item::preempt, policies_.preemption.get(), yields,
      [&](observe::Writer& out) { encode_rows(std::span<const sl_yield>(yields_, yields.count), out); },
      [&](observe::Reader& bytes) {
        return decode_rows(bytes, std::span<sl_yield>(yields_, candidate_count_));
      },
      [&](policy::Preemption& p, sl_out& gauges) { return p.preempt(in, yields, gauges); });
  if (reason == SL_REASON_NONE) reason = check_yields({yields_, yields.count});
  const bool first = need_up_to(in_need) == staged_[in_need].need;  // nothing before it needs a block
  if (reason == SL_REASON_NONE && !gives_up_blocks({yields_, yields.count}) && (yields.count > 0 || first))
    reason = SL_REASON_NO_PROGRESS;  // what keeps all of its blocks would be asked for them again and again
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
  const YieldBy by = reason == SL_REASON_NONE ? YieldBy::policy : YieldBy::fallback;
  for (std::uint32_t i = 0; i < yields.count; ++i)
    yield(SL_SEQ_SLOT(yields_[i].seq),
          {yields_[i].mode, yields_[i].keep_blocks, yields_[i].reason, by, for_seq});
  exhausted_memory_ = exhausted_memory_ || yields.count > 0;  // what the victims of this step wait for
  return yields.count > 0;
}

std::uint16_t Engine::check_yields(std::span<const sl_yield> yields) {
  const std::uint32_t candidates = next_stamp();
  for (std::uint32_t i = 0; i < candidate_count_; ++i)
    requests_->checked(SL_SEQ_SLOT(candidates_[i].seq)).seen = candidates;
  const std::uint32_t named = next_stamp();
  const auto check_one = [&](const sl_yield& y) -> std::uint16_t {
    const Slot slot = SL_SEQ_SLOT(y.seq);
    if (slot >= requests_->seq_table().count) return SL_REASON_UNKNOWN_ID;
    if (!requests_->alive(y.seq)) return SL_REASON_STALE_ID;
    std::uint32_t& seen = requests_->checked(slot).seen;
    if (seen == named) return SL_REASON_TWICE;
    if (seen != candidates) return SL_REASON_NOT_A_CANDIDATE;
    if (y.mode > SL_YIELD_KEEP) return SL_REASON_BAD_NUMBER;
    if (y.mode == SL_YIELD_KEEP && y.keep_blocks > options_.kv_blocks) return SL_REASON_BAD_NUMBER;
    seen = named;
    return SL_REASON_NONE;
  };
  for (std::uint32_t i = 0; i < yields.size(); ++i)
    if (const std::uint16_t reason = check_one(yields[i]); reason != SL_REASON_NONE) {
      bad_row_ = i;
      return reason;
    }
  return SL_REASON_NONE;
}

// Of a checked answer: does anybody hold less by it?
bool Engine::gives_up_blocks(std::span<const sl_yield> yields) const {
  return std::any_of(yields.begin(), yields.end(), [this](const sl_yield& y) {
    const Slot slot = SL_SEQ_SLOT(y.seq);
    return y.mode != SL_YIELD_KEEP || kept_blocks(slot, y.keep_blocks) < requests_->row(slot).blocks_device;
  });
}

// Only blocks whose tokens all have KV, or will have, can be kept.
std::uint32_t Engine::kept_blocks(Slot slot, std::uint32_t wanted) const {
  return std::min(wanted, covered(requests_->row(slot)) / options_.block_tokens);
}

// A holder gives up its blocks: all, or all but the first `keep_blocks`, or moves them to host memory. Swap is recompute
// without a host tier, where that has no room, and where nothing can move (Cache::swappable()), for instance since a step in
// flight still writes it.
void Engine::yield(Slot slot, Yield how) {
  const sl_seq_row& r = row(slot);
  if (how.mode == SL_YIELD_SWAP && options_.host_kv_blocks == 0) {
    how.reason = SL_REASON_NO_HOST_TIER;
    ++counters_.no_host_tier;
  }
  const std::uint32_t keep = how.mode == SL_YIELD_KEEP ? kept_blocks(slot, how.keep_blocks) : 0;
  const std::uint32_t had = std::max(covered(r), life(slot).swapped_tokens);  // some may be on their way back
  const bool swaps = how.mode == SL_YIELD_SWAP && options_.host_kv_blocks > 0;
  const bool moves = swaps && swappable(slot) > 0;
  const bool swapped = moves && swap_out(slot);
  if (moves && !swapped) {
    how.reason = SL_REASON_HOST_FULL;
    ++counters_.host_full;
  } else if (swaps && !moves && (r.in_flight_max > 0 || confirmed(slot) < r.computed)) {
    how.reason = SL_REASON_STILL_FILLING;
  }
  if (how.mode == SL_YIELD_SWAP && !swapped) how.mode = SL_YIELD_RECOMPUTE;
  note_yield(slot, how, had);
  if (r.state == SL_RUNNING) {
    free_rows_.push_back(requests_->at(slot).row);
    cache_->set_waiting(slot, true);
  }
  if (r.in_flight_max > 0) {
    life(slot).kept_step = step_;
    life(slot).kept_confirmed = r.computed;
  }
  if (swapped) {
    hold(slot, 0, 0);
  } else {
    release_to(slot, std::min(keep, r.blocks_device));
    life(slot).swapped_tokens = 0;
  }
  requests_->preempt(slot, how.reason, how.for_seq, swapped, now_ns_);
  requests_->set_holder(slot, r.blocks_device > 0);
  if (reservation_ != nullptr && r.blocks_device == 0) reservation_->release(slot);
  for (Staged& staged : staged_)
    if (staged.slot == slot && !staged.fallen) {
      staged.fallen = true;
      need_ -= staged.need;
      placed_tokens_ -= staged.tokens;
    }
  settle_waiting(slot);
  ++counters_.preemptions;
  if (swapped) take_transfers();  // others may have lost their copy by it
}

// By whom and for whom: for the sequence's account, and for the log.
void Engine::note_yield(Slot slot, const Yield& how, std::uint32_t had_tokens) {
  const bool for_one = how.for_seq != SL_NO_SEQ;
  Life& of = life(slot);
  of.preempted_by = how.by;
  of.preempt_reason = how.reason;
  of.preempted_for = for_one ? requests_->request_of(SL_SEQ_SLOT(how.for_seq)).request : 0;
  of.lost_below = had_tokens;
  const policy::Instance* asked = how.by == YieldBy::policy ? policies_.preemption.get()
                                  : how.by == YieldBy::plan ? planned_by_
                                                            : nullptr;
  const sl_yield came{row(slot).id, static_cast<std::uint16_t>(how.mode), how.reason, how.keep_blocks};
  decisions_.add(asked, std::span(&came, 1));
  log(observe::Item::preempted, [&](observe::Writer& out) {
    for (const std::uint64_t v : {row(slot).id, how.for_seq, static_cast<std::uint64_t>(how.by), how.mode,
                                  std::uint64_t{how.reason}, std::uint64_t{of.lost_below}})
      out.u64(v);
  });
}

// What still does not fit falls from the plan's end; so falls whatever would have hit blocks that it would
// have filled.
void Engine::fall_from_tail() {
  for (std::size_t i = staged_.size(); i-- > 0;) {
    const sl_tier tier = cache_->tier(SL_TIER_DEVICE);
    if (need_ <= tier.free) return;
    const std::uint64_t coming = std::uint64_t{tier.free} + leaving_;
    if (tier.evictable > 0 && need_ > coming) {  // unpinned by what fell
      if (evict(block_count(std::min<std::uint64_t>(need_ - coming, tier.evictable))) > 0) ++i;
      continue;
    }
    if (staged_[i].fallen || staged_[i].need == 0) continue;
    fell(staged_[i], leaving_ > 0 ? SL_REASON_COPY_PENDING : SL_REASON_MEMORY);
    exhausted_memory_ = true;  // also where copies are about to free it
  }
}

}  // namespace serveloop::engine
