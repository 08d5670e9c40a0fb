// One step of the engine. Read this first; docs/ARCHITECTURE.md follows a request through it.
#include <spdlog/spdlog.h>

#include "engine/engine.hpp"

namespace serveloop::engine {

bool Engine::step() {
  if (log_ != nullptr) log_->begin_step(step_);
  now();
  if (idle_) close_idle_slot();
  take_messages();  // 1. arrivals, cancellations, control
  const bool plans = work_to_plan() || cache_->copies_pending() > 0;
  if (plans) {
    choose_mode();  // 2. precision
    ask_gates();    // 3. what may enter, what runs next; checked
    ask_scheduler();
    if (decodes_fit()) {
      submit_decodes();  // the common step: 4 to 7 in one walk
    } else {
      match();      // 4. pin every entry's prefix, in plan order
      make_room();  // 5, 6. evict, preempt, let entries fall
      submit();     // 7. one mixed batch
    }
  }
  const bool collects = in_flight_.size() > (batch_.empty() ? 0 : options_.lag);
  if (collects) collect();  // 8. step k - lag: tokens, ends
  finish_step();            // 9. the step's record
  counters_.steps += plans || collects ? 1 : 0;
  return plans || collects;
}

// Policies are asked where something could run, where something happened that they may answer by letting go of what
// they hold, and before what they are to be told is too much.
bool Engine::work_to_plan() const {
  return requests_->ready_count() > 0 || requests_->running_count() > 0 || !ungated_.empty() ||
         (requests_->any_held() && requests_->stirred()) ||
         requests_->event_count() > requests_->event_capacity() / 2;
}

void Engine::finish_step() {
  take_transfers();
  count_host_copies();
  counters_.regretted_evictions = cache_->regretted_evictions();
  note_block_events();
  continue_swaps();
  const bool ran = !batch_.empty();
  idle_ = !ran && in_flight_.empty();
  batch_.clear();
  log(observe::Item::memory, [&](observe::Writer& out) {
    const sl_tier tier = cache_->tier(SL_TIER_DEVICE);
    const sl_tier host = cache_->tier(SL_TIER_HOST);
    for (const std::uint64_t v : {tier.free, tier.evictable, requests_->waiting_count(),
                                  requests_->running_count(), host.free, host.evictable, tier.in_transit})
      out.u64(v);
  });
  if (log_ != nullptr) log_->end_step();
  {
    const std::lock_guard lock(inbox_mutex_);
    known_waiting_ = requests_->waiting_count();
  }
  ++step_;
}

std::uint64_t Engine::next_wake_ns() const { return requests_->next_wake_ns(); }

bool Engine::busy() const {
  return requests_->live_count() > 0 || !in_flight_.empty() || cache_->copies_pending() > 0;
}

void Engine::mark(Phase phase, std::uint32_t rows) {
  clock_.charge(phase, rows);
  ledger_.mark(phase, now());
}

void Engine::incident(std::string what) {
  spdlog::error("{}", what.substr(0, what.find('\n')));
  if (incidents_.size() == kIncidents) incidents_.erase(incidents_.begin());
  incidents_.push_back(std::move(what));
}

void Engine::enter(Slot slot, observe::State state) {
  requests_->at(slot).planned = static_cast<std::uint8_t>(state);
  transitions_.push_back({requests_->row(slot).id, state});
}

}  // namespace serveloop::engine
