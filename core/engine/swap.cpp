// Hot swap of a policy between two steps. The new instance hears the state that exists as events, a slice a
// step, beside live events of what it was told already; then a pointer changes. Until then the old one
// serves; any failure leaves it serving.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "engine/engine.hpp"

namespace serveloop::engine {

namespace {
// Slices by count, not by time, so that a replay cuts them alike: well under 200 us of a policy's work.
constexpr std::uint32_t kBlocksPerSlice = 4096;
}  // namespace

struct Engine::Swap {
  std::shared_ptr<SwapOrder> order;
  // Sequences are told by arrival: those up to `told` so far; those from `first_new` on came later and need none.
  std::uint64_t told = 0, first_new = 0;  // serials
  std::uint32_t events = 0;               // in handover_events_
  bool told_all = false, tried_state = false;
};

void Engine::SwapDeleter::operator()(Swap* swap) const { delete swap; }

// One at a time; others wait for their turn.
void Engine::start_swap(const std::shared_ptr<SwapOrder>& order) {
  if (order->is_gate && order->gate >= policies_.gates.size()) {
    order->finish(
        fail("swap", fmt::format("a gate below {}", policies_.gates.size()), std::to_string(order->gate)));
    return incident(fmt::format("step {}: swap refused: no gate {}", step_, order->gate));
  }
  swaps_.push_back(order);
  if (swap_ == nullptr) begin_swap();
}

void Engine::begin_swap() {
  swap_.reset();
  if (swaps_.empty()) return;
  swap_.reset(new Swap);
  swap_->order = std::move(swaps_.front());
  swaps_.pop_front();
  swap_->first_new = requests_->next_serial();
  requests_->start_walk();
  heard_.swap = requests_->event_count();
  if (swap_->order->eviction != nullptr) cache_->begin_handover();
}

// Does the new instance know this event's sequence? If not, it will hear of its state at that time instead.
bool Engine::told(const sl_event& event) const {
  if (event.kind == SL_EV_STEP_END || event.kind == SL_EV_HINT || SL_SEQ_GENERATION(event.subject) == 0)
    return true;
  const std::uint64_t serial = requests_->links(SL_SEQ_SLOT(event.subject)).serial;
  return serial <= swap_->told || serial >= swap_->first_new;
}

// Live events since the last slice, of those that it knows. The slice that follows tells of states that these
// events led to, and of no sequence twice.
void Engine::swap_hears() {
  const sl_table events = requests_->events(heard_.swap);
  heard_.swap = requests_->event_count();
  const auto* rows = static_cast<const sl_event*>(events.base);
  for (std::uint32_t i = 0; i < events.count; ++i)
    if (told(rows[i])) handover_events_[swap_->events++] = rows[i];
}

void Engine::tell(std::uint16_t kind, sl_seq subject, std::uint64_t a, std::uint64_t b) {
  handover_events_[swap_->events++] = {kind, SL_EVENT_HANDOVER, SL_NONE, subject, a, b};
}

void Engine::hand_over_sequences() {
  const auto more = [&] {
    return requests_->walk() != SL_NONE && requests_->links(requests_->walk()).serial < swap_->first_new;
  };
  for (; slice_left_ > 0 && more(); --slice_left_) {
    const Slot slot = requests_->walk();
    requests_->step_walk();
    swap_->told = requests_->links(slot).serial;
    const sl_seq_row& r = row(slot);
    const sl_seq_cold_row& cold = requests_->cold(slot);
    tell(SL_EV_ARRIVED, r.id, 0, 0);
    if (r.not_ready == 0) tell(SL_EV_READY, r.id, 0, 0);
    if (r.state == SL_RUNNING) tell(SL_EV_ADMITTED, r.id, 0, 0);
    if (r.state == SL_PAUSED) tell(SL_EV_PAUSED, r.id, cold.pause_until_ns, 0);
    if ((r.not_ready & (SL_NOT_READY_GATE | SL_NOT_READY_PARKED)) != 0)
      tell(SL_EV_PARKED, r.id, cold.wake_ns, 0);
  }
  swap_->told_all = !more();
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
  if (before == nullptr || next == nullptr || std::exchange(swap_->tried_state, true)) return false;
  const Result<bool> handed = policy::hand_over_state(*before, *next);
  if (!handed) incident(fmt::format("step {}: {}; handed over by events", step_, handed.error().message()));
  return handed.value_or(false);
}

// At most a slice a step, of one swap or of several.
void Engine::continue_swaps() {
  slice_left_ = kSequencesPerSlice;
  while (swap_ != nullptr && continue_swap()) begin_swap();
}

// One slice; then, when all was told, the flip. True: it is over, well or not.
bool Engine::continue_swap() {
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
    swap_hears();
    hand_over_sequences();
    sl_view view = view_;
    view.events = table_of(handover_events_, swap_->events);
    status = order.scheduler != nullptr ? hear(*order.scheduler, view) : order.preemption->note(view);
    swap_->events = 0;
  }
  if (status < 0) {
    incident(fmt::format("step {}: swap to '{}' failed in the handover; the old policy goes on", step_,
                         order.plugin));
    if (order.eviction != nullptr) cache_->end_handover();
    order.finish(fail(fmt::format("swap to '{}'", order.plugin), "a policy that takes the state over",
                      fmt::format("status {} in the handover", status), "the policy before it goes on"));
    return true;
  }
  if (swap_->told_all) {
    if (order.is_gate)
      heard_.gates[order.gate] = heard_.swap;
    else if (order.preemption != nullptr)
      heard_.preemption = heard_.swap;
    else if (order.scheduler != nullptr)
      heard_.scheduler = heard_.swap;
    return finish_swap();
  }
  return false;
}

bool Engine::finish_swap() {
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
  order.finish({});
  return true;
}

// After each step, so that an eviction policy never has a backlog to read when it is asked.
void Engine::note_block_events() {
  publish_view();
  view_.events = requests_->events(heard_.eviction);
  heard_.eviction = requests_->event_count();
  const sl_evict_in in{&view_, cache_->block_events(), {}, {}};
  if (in.events.count == 0 && view_.events.count == 0) return;
  if (policies_.eviction != nullptr && policies_.eviction->note(in) < 0) {
    refused(policy::Kind::eviction, *policies_.eviction, SL_REASON_CALL_FAILED);
    eject_if_failing(policy::Kind::eviction, policies_.eviction);
  }
  cache_->clear_block_events();
}

}  // namespace serveloop::engine
