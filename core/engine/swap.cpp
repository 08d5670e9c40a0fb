// Hot swap of a policy between two steps. The new instance hears the state that exists as events, a slice a
// step, beside live events of what it was told already; then a pointer changes. Until then the old one
// serves; any failure leaves it serving.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "engine/engine.hpp"

namespace serveloop::engine {

namespace {
// Slices by count, not by time, so that a replay cuts them alike: about 200 us of a policy's work.
constexpr std::size_t kSequencesPerSlice = 1024;
constexpr std::uint32_t kBlocksPerSlice = 4096;
}  // namespace

struct Engine::Swap {
  std::shared_ptr<SwapOrder> order;
  struct Known {
    sl_seq seq;
    std::uint64_t serial;
  };
  std::vector<Known> sequences;  // alive when it began, by arrival
  std::size_t next = 0;
  std::uint32_t events = 0;  // in handover_events_
  bool told_all = false;
};

void Engine::SwapDeleter::operator()(Swap* swap) const { delete swap; }

void Engine::start_swap(const std::shared_ptr<SwapOrder>& order) {
  while (swap_ != nullptr) continue_swap();  // one at a time: the one under way ends now
  if (order->is_gate && order->gate >= policies_.gates.size()) {
    incidents_.push_back(fmt::format("step {}: swap refused: no gate {}", step_, order->gate));
    return;
  }
  swap_.reset(new Swap);
  swap_->order = order;
  for (const Slot slot : requests_->live_slots())
    swap_->sequences.push_back({row(slot).id, requests_->links(slot).serial});
  if (order->eviction != nullptr) cache_->begin_handover();
}

// Was the new instance told of this event's sequence? If not, it will hear of its state at that time instead.
bool Engine::told(const sl_event& event) const {
  if (event.kind == SL_EV_STEP_END || event.kind == SL_EV_HINT || SL_SEQ_GENERATION(event.subject) == 0)
    return true;
  const Slot slot = SL_SEQ_SLOT(event.subject);
  if (slot >= requests_->seq_table().count) return true;
  const std::uint64_t serial = requests_->links(slot).serial;
  const std::vector<Swap::Known>& known = swap_->sequences;
  return known.empty() || serial > known.back().serial ||
         (swap_->next > 0 && serial <= known[swap_->next - 1].serial);
}

// Live events, as they are told to the old instance.
void Engine::swap_hears(const sl_table& events) {
  const auto* rows = static_cast<const sl_event*>(events.base);
  for (std::uint32_t i = 0; i < events.count && swap_->events < handover_capacity_; ++i)
    if (told(rows[i])) handover_events_[swap_->events++] = rows[i];
}

void Engine::tell(std::uint16_t kind, sl_seq subject, std::uint64_t a, std::uint64_t b) {
  if (swap_->events < handover_capacity_)
    handover_events_[swap_->events++] = {kind, SL_EVENT_HANDOVER, SL_NONE, subject, a, b};
}

void Engine::hand_over_sequences() {
  const std::size_t end = std::min(swap_->sequences.size(), swap_->next + kSequencesPerSlice);
  for (; swap_->next < end; ++swap_->next) {
    const sl_seq seq = swap_->sequences[swap_->next].seq;
    if (!requests_->alive(seq)) continue;
    const Slot slot = SL_SEQ_SLOT(seq);
    const sl_seq_row& r = row(slot);
    const sl_seq_cold_row& cold = requests_->cold(slot);
    tell(SL_EV_ARRIVED, seq, 0, 0);
    if (r.not_ready == 0) tell(SL_EV_READY, seq, 0, 0);
    if (r.state == SL_RUNNING) tell(SL_EV_ADMITTED, seq, 0, 0);
    if (r.state == SL_PAUSED) tell(SL_EV_PAUSED, seq, cold.pause_until_ns, 0);
    if ((r.not_ready & (SL_NOT_READY_GATE | SL_NOT_READY_PARKED)) != 0)
      tell(SL_EV_PARKED, seq, cold.wake_ns, 0);
  }
  swap_->told_all = swap_->next == swap_->sequences.size();
}

// A scheduler that only hears events when it is asked is asked, and what it plans is thrown away.
std::int32_t Engine::hear(policy::Scheduler& scheduler, const sl_view& view) {
  if (scheduler.hears()) return scheduler.note(view);
  sl_out entries = out_of(entries_, entry_capacity_), gauges = out_of(gauges_, kGauges);
  return scheduler.plan(view, entries, gauges);
}

// Saved state, where both have it with an equal layout: then no events are needed.
bool Engine::hand_over_state() {
  const SwapOrder& order = *swap_->order;
  policy::Instance* before = policies_.scheduler.get();
  policy::Instance* next = order.scheduler.get();
  if (order.is_gate) before = policies_.gates[order.gate].get();
  if (order.eviction != nullptr) before = policies_.eviction.get(), next = order.eviction.get();
  if (order.preemption != nullptr) before = policies_.preemption.get(), next = order.preemption.get();
  if (before == nullptr || next == nullptr || swap_->next > 0) return false;
  const Result<bool> handed = policy::hand_over_state(*before, *next);
  if (!handed)
    incidents_.push_back(fmt::format("step {}: {}; handed over by events", step_, handed.error().message()));
  return handed.value_or(false);
}

// One slice; then, when all was told, the flip.
void Engine::continue_swap() {
  if (hand_over_state()) return finish_swap();
  const SwapOrder& order = *swap_->order;
  std::int32_t status = SL_OK;
  publish_view();
  if (order.eviction != nullptr) {
    swap_->told_all = !cache_->hand_over(kBlocksPerSlice);
    std::vector<sl_block_event>& events = cache_->successor_events();
    const sl_evict_in in{&view_, table_of(events.data(), events.size()), {}, {}};
    status = order.eviction->note(in);
    events.clear();
  } else {
    hand_over_sequences();
    sl_view view = view_;
    view.events = table_of(handover_events_, swap_->events);
    status = order.scheduler != nullptr ? hear(*order.scheduler, view) : order.preemption->note(view);
    swap_->events = 0;
  }
  if (status < 0) {
    incidents_.push_back(fmt::format("step {}: swap to '{}' failed in the handover; the old policy goes on",
                                     step_, order.plugin));
    spdlog::error("{}", incidents_.back());
    if (order.eviction != nullptr) cache_->end_handover();
    swap_.reset();
  } else if (swap_->told_all) {
    if (order.is_gate) heard_.gates[order.gate] = heard_.others;
    finish_swap();
  }
}

void Engine::finish_swap() {
  SwapOrder& order = *swap_->order;
  if (order.eviction != nullptr) {
    cache_->end_handover();
    policies_.eviction = order.eviction;
  } else if (order.preemption != nullptr)
    policies_.preemption = order.preemption;
  else if (order.is_gate)
    policies_.gates[order.gate] = order.scheduler;
  else
    policies_.scheduler = order.scheduler;
  ++epoch_;
  ++counters_.swaps;
  spdlog::info("step {}: '{}' took over ({})", step_, order.plugin, policy::name_of(order.kind));
  swap_.reset();
}

// After each step, so that an eviction policy never has a backlog to read when it is asked.
void Engine::note_block_events() {
  const sl_table events = cache_->block_events();
  if (events.count == 0) return;
  publish_view();
  sl_evict_in in{&view_, events, {}, {}};
  if (policies_.eviction != nullptr && policies_.eviction->note(in) < 0) {
    refused(policy::Kind::eviction, *policies_.eviction, SL_REASON_CALL_FAILED);
    eject_if_failing(policy::Kind::eviction, policies_.eviction);
  }
  cache_->clear_block_events();
}

}  // namespace serveloop::engine
