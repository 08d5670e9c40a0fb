// World's half of the host tier: yielding by swap, coming back, and the executor's copies.
#include <algorithm>

#include "world.hpp"

namespace serveloop::kv::test {

namespace {
constexpr std::uint32_t kBlockTokens = 4;
}

// False when nothing could move.
bool World::swap(Slot slot) {
  Seq& seq = seqs_[slot];
  if (waits_for_copies(seq)) return false;
  drain();
  std::uint32_t confirmed = seq.computed;
  for (const Flight& flight : flights_)
    for (const Row& row : flight.rows)
      if (row.slot == slot && row.life == seq.life) confirmed = std::min(confirmed, row.before);
  const std::uint32_t blocks = (confirmed + kBlockTokens - 1) / kBlockTokens;
  const auto [from, end] = model_movable(seq, blocks);
  const std::uint32_t moves = end - from <= rig.cache.tier(SL_TIER_HOST).free ? end - from : 0;
  want(rig.cache.swappable(slot, blocks) == end - from, "swappable() differs from the model");
  want(rig.cache.swap_out(slot, blocks, rig.now) == moves, "swap_out moved other than the model");
  ++(moves > 0 ? counts.swapped : counts.no_swap);
  if (moves == 0) return false;
  take_copies();
  model_swap(seq, slot, from, end);
  seq.saved = std::min(confirmed, end * kBlockTokens);
  seq.computed = 0;
  ++seq.life;
  return true;
}

// A swapped sequence, or one whose prefix is in host memory, is brought back as far as its blocks are there.
void World::come_back(Slot slot) {
  Seq& seq = seqs_[slot];
  const auto known = static_cast<std::uint32_t>(seq.tokens.size());
  if (!seq.arriving.empty()) return;
  for (const Flight& flight : flights_)
    for (const Row& row : flight.rows)
      if (row.slot == slot && row.life == seq.life) return;  // it runs
  if (!seq.swapped() && (seq.computed != seq.held() * kBlockTokens || seq.computed >= known)) return;
  const std::uint32_t limit = (known - 1) / kBlockTokens;
  model_pin(seq, slot, limit);
  want(rig.cache.pin_prefix(slot, limit, rig.now) == seq.held(), "pin_prefix reached other than the model");
  seq.computed = std::max(seq.computed, seq.held() * kBlockTokens);
  const BringIn expected = model_plan(seq, limit), plan = rig.cache.plan_bring_in(slot, limit);
  want(plan.need == expected.need && plan.reach == expected.reach && plan.whole == expected.whole &&
           plan.pending == expected.pending,
       "plan_bring_in differs from the model");
  if (plan.pending) {
    ++counts.pending;
  } else if (!plan.whole) {
    ++counts.broken;
    model_forget(seq, slot);
    model_sweep();
    rig.cache.drop_copy(slot, rig.now);
  } else if (plan.need <= rig.free() && (plan.need > 0 || seq.swapped())) {
    ++(seq.swapped() ? counts.swapped_in : counts.prefetched);
    const std::uint32_t held = seq.held();
    want(rig.cache.bring_in(slot, limit, rig.now) == plan.need, "bring_in brings other than planned");
    drain();
    want(seq.held() == plan.reach, "bring_in reached other than planned");
    take_copies();
    model_bring(seq, slot, held, plan.reach, limit);
    if (plan.need == 0) model_arrived(seq);
  }
}

// ---- The executor's copies: in order, each between the step it went out with and the one that tells of its end.

void World::run_copies(std::uint32_t most) {
  for (Moving& moving : moving_) {
    if (most-- == 0) return;
    if (moving.ran) continue;
    moving.ran = true;
    moving.fails = pick(25) == 0;
    std::vector<std::uint64_t>& to = written_[moving.copy.to];
    to = written_[moving.copy.from];
    if (moving.fails) std::fill(to.begin(), to.end(), 0xdead);
  }
}

void World::end_copies(std::uint32_t most) {
  run_copies(most);
  std::vector<std::uint64_t> failed;
  for (std::uint32_t i = 0; i < most; ++i) {
    const Moving moving = moving_.front();
    moving_.pop_front();
    if (moving.fails) failed.push_back(ended_);
    ++ended_;
    if (moving.copy.to_tier == SL_TIER_HOST)
      model_ended_out(moving);
    else
      model_ended_in(moving);
    model_sweep();
  }
  handed_ -= most;
  rig.cache.copied(ended_, failed, rig.now);
  want(rig.cache.copies_pending() == moving_.size(),
       "copies_pending() is not what was listed and has not ended");
  drain();
}

void World::take_copies() {
  moved_.clear();
  for (const Copy& copy : rig.cache.copies()) {
    want((copy.from < setup_.blocks) == (copy.from_tier == SL_TIER_DEVICE) &&
             (copy.to < setup_.blocks) == (copy.to_tier == SL_TIER_DEVICE) && copy.from_tier != copy.to_tier,
         "a copy names wrong tiers");
    moved_[copy.from] = copy.to;
    moving_.push_back({copy});
    digest_ = digest_ * 31 + copy.from * 7 + copy.to;
  }
  rig.cache.copies().clear();
}

void World::check_transfers() {
  const auto less = [](const Transfer& a, const Transfer& b) {
    return a.slot != b.slot ? a.slot < b.slot : a.what < b.what;
  };
  std::vector<Transfer> told = rig.cache.transfers();
  rig.cache.transfers().clear();
  for (const Transfer& transfer : told) {
    counts.arrived += transfer.what == Transfer::in ? 1 : 0;
    counts.cut += transfer.what == Transfer::cut ? 1 : 0;
    counts.lost += transfer.what == Transfer::lost ? 1 : 0;
  }
  std::sort(told.begin(), told.end(), less);
  std::sort(expected_.begin(), expected_.end(), less);
  want(told == expected_, "other transfers were told than the model's");
  expected_.clear();
}

}  // namespace serveloop::kv::test
