// Parts 2 and 3 of a step: ask the policies, check what they say, and put the linked-in fallback in the place
// of a wrong answer.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "engine/ask.hpp"
#include "engine/engine.hpp"
#include "engine/fallback.hpp"
#include "engine/records.hpp"
#include "engine/reservation.hpp"

namespace serveloop::engine {

void Engine::publish_view() {
  view_.struct_size = sizeof(sl_view);
  view_.epoch = epoch_;
  view_.step = step_;
  view_.now_ns = now_ns_;
  view_.seed = options_.seed;
  view_.last_step_ns = last_step_ns_;
  view_.lag = options_.lag;
  view_.block_tokens = options_.block_tokens;
  view_.token_budget = options_.token_budget;
  view_.max_sequences = options_.max_sequences;
  view_.mode = mode_;
  view_.waiting = requests_->waiting_count();
  view_.running_count = requests_->running_count();
  view_.gates = static_cast<std::uint32_t>(policies_.gates.size());
  view_.tier[SL_TIER_DEVICE] = cache_->tier(SL_TIER_DEVICE);
  view_.tier[SL_TIER_HOST] = cache_->tier(SL_TIER_HOST);
  if (reservation_ != nullptr) view_.tier[SL_TIER_DEVICE].free = reservation_->promised_free();
  view_.seqs = requests_->seq_table();
  view_.seqs_cold = requests_->cold_table();
  view_.requests = requests_->request_table();
  view_.nodes = cache_->node_table();
  view_.blocks = cache_->block_table();
  view_.running = requests_->running_table();
  view_.events.count = 0;  // the caller tells each policy its own
  view_.heap = requests_->heap();
  view_.cost = &options_.cost;
}

void Engine::take_node_events() {
  for (const sl_event& event : cache_->node_events())
    requests_->event(event.kind, event.subject, event.a, event.b, event.node);
  cache_->node_events().clear();
}

void Engine::choose_mode() {
  take_node_events();
  publish_view();
  if (modes_ <= 1) return;
  view_.events = requests_->events(heard_.precision);
  heard_.precision = requests_->event_count();
  std::uint32_t mode = mode_;
  const std::int32_t status = policies_.precision->choose_mode(view_, mode);
  std::uint16_t reason = status < 0       ? SL_REASON_CALL_FAILED
                         : mode >= modes_ ? SL_REASON_BAD_NUMBER
                                          : SL_REASON_NONE;
  if (reason != SL_REASON_NONE) {
    refused(policy::Kind::precision, *policies_.precision, reason);
    mode = 0;
  }
  if (mode != mode_) spdlog::info("step {}: precision mode {} -> {}", step_, mode_, mode);
  view_.mode = mode_ = mode;
  log(observe::Item::mode, [&](observe::Writer& out) { out.u64(mode); });
  mark(Phase::policy, 1);
}

// Counts a wrong answer. The caller answers by the fallback.
template <class Instance>
void Engine::refused(policy::Kind kind, Instance& instance, std::uint16_t reason) {
  ++counters_.fallbacks[{static_cast<std::uint8_t>(kind), reason}];
  const std::uint32_t bad = std::exchange(bad_row_, policy::kNoRow);
  const void* row = nullptr;
  if (bad != policy::kNoRow) {
    if (kind == policy::Kind::eviction)
      row = victims_ + bad;
    else if (kind == policy::Kind::preemption)
      row = yields_ + bad;
    else
      row = entries_ + bad;
  }
  instance.refused(reason, bad, row);
  log(observe::Item::refused, [&](observe::Writer& out) {
    out.u64(static_cast<std::uint64_t>(kind));
    out.u64(reason);
  });
  SPDLOG_DEBUG("step {}: {} '{}' answered wrongly ({}); the fallback takes it", step_, policy::name_of(kind),
               instance.id(), instance.reason_name(reason));
}
template void Engine::refused(policy::Kind, policy::Eviction&, std::uint16_t);
template void Engine::refused(policy::Kind, policy::Preemption&, std::uint16_t);

// Throws out a policy that keeps failing.
template <class Instance>
bool Engine::eject_if_failing(policy::Kind kind, std::shared_ptr<Instance>& which) {
  if (which == nullptr || !which->health().should_eject()) return false;
  const std::string& last = which->last_failure();
  incident(fmt::format("step {}: {} '{}' ejected{}, the fallback goes on\n{}", step_, policy::name_of(kind),
                       which->id(), last.empty() ? "" : " (" + last + ")", which->report()));
  ++counters_.ejected;
  which.reset();
  return true;
}
template bool Engine::eject_if_failing(policy::Kind, std::shared_ptr<policy::Eviction>&);
template bool Engine::eject_if_failing(policy::Kind, std::shared_ptr<policy::Preemption>&);

// What an ejected gate or scheduler had parked.
void Engine::let_go(requests::Holder who) {
  for (const Slot slot : requests_->held_by(who)) {
    requests_->release(slot, who, now_ns_);
    settle_waiting(slot);
  }
}

void Engine::ask_gates() {
  for (std::size_t i = 0; i < policies_.gates.size(); ++i) {
    std::shared_ptr<policy::Scheduler>& gate = policies_.gates[i];
    if (gate == nullptr) continue;
    view_.events = requests_->events(heard_.gates[i]);
    const std::uint32_t told = requests_->event_count();
    const std::uint16_t reason = ask_plan(observe::Item::gate, gate.get(), true);
    if (reason != SL_REASON_CALL_FAILED) heard_.gates[i] = told;
    if (reason != SL_REASON_NONE)
      refused(policy::Kind::scheduler, *gate, reason);
    else {
      decisions_.add(gate.get(), std::span<const sl_entry>(entries_, plan_count_));
      apply_park_verbs({entries_, plan_count_}, static_cast<requests::Holder>(i));
    }
    if (eject_if_failing(policy::Kind::scheduler, gate)) let_go(static_cast<requests::Holder>(i));
    mark(Phase::policy, plan_count_);
  }
  for (const Slot slot : ungated_)
    if (row(slot).state != SL_ENDED && (row(slot).not_ready & SL_NOT_READY_UNGATED) != 0)
      requests_->clear_not_ready(slot, SL_NOT_READY_UNGATED, now_ns_);
  ungated_.clear();
}

void Engine::ask_scheduler() {
  view_.events = requests_->events(heard_.scheduler);
  const std::uint32_t told = requests_->event_count();
  view_.waiting = requests_->waiting_count();
  const bool stuck = empty_in_a_row_ >= options_.bypass_steps || bypassed_in_a_row_ >= options_.bypass_steps;
  std::uint16_t reason = ask_plan(observe::Item::plan, policies_.scheduler.get(), false);
  if (reason == SL_REASON_NONE && stuck) reason = SL_REASON_NO_PROGRESS;
  if (reason != SL_REASON_NONE) {
    if (policies_.scheduler != nullptr) refused(policy::Kind::scheduler, *policies_.scheduler, reason);
    plan_count_ = fallback::plan(*requests_, options_, {entries_, entry_capacity_});
    check_plan({entries_, plan_count_}, false);
    empty_in_a_row_ = bypassed_in_a_row_ = 0;
  }
  planned_by_ = reason == SL_REASON_NONE ? policies_.scheduler.get() : nullptr;
  decisions_.add(planned_by_, std::span<const sl_entry>(entries_, plan_count_));
  mark(Phase::policy, plan_count_);
  if (reason != SL_REASON_CALL_FAILED) heard_.scheduler = told;  // else it may not have read them
  note_preemption();
  requests_->told_all();
  forget_heard_events();
  requests_->reclaim();
  if (eject_if_failing(policy::Kind::scheduler, policies_.scheduler)) {
    planned_by_ = nullptr;
    let_go(requests::kScheduler);
  }
}

void Engine::note_preemption() {
  view_.events = requests_->events(heard_.preemption);
  if (policies_.preemption == nullptr || policies_.preemption->note(view_) >= 0) {
    heard_.preemption = requests_->event_count();
    return;
  }
  refused(policy::Kind::preemption, *policies_.preemption, SL_REASON_CALL_FAILED);
  eject_if_failing(policy::Kind::preemption, policies_.preemption);
}

void Engine::forget_heard_events() {
  if (modes_ <= 1) heard_.precision = requests_->event_count();
  if (policies_.eviction == nullptr) heard_.eviction = requests_->event_count();
  if (swap_ == nullptr) heard_.swap = requests_->event_count();
  const auto each = {&heard_.precision, &heard_.scheduler, &heard_.preemption, &heard_.eviction,
                     &heard_.swap};
  std::uint32_t by_all = requests_->event_count();
  for (const std::uint32_t* heard : each) by_all = std::min(by_all, *heard);
  for (std::size_t i = 0; i < policies_.gates.size(); ++i) {
    if (policies_.gates[i] == nullptr) heard_.gates[i] = requests_->event_count();
    by_all = std::min(by_all, heard_.gates[i]);
  }
  requests_->forget_events(by_all);
  for (std::uint32_t* heard : each) *heard -= by_all;
  for (std::uint32_t& heard : heard_.gates) heard -= by_all;
}

// One call of a gate or scheduler: its answer is in entries_[0, plan_count_), checked.
std::uint16_t Engine::ask_plan(observe::Item item, policy::Scheduler* policy, bool gate) {
  plan_count_ = 0;
  sl_out entries = out_of(entries_, entry_capacity_);
  const auto encode = [&](observe::Writer& out) {
    encode_plan({entries_, entries.count}, requests_->running(), *requests_, out);
  };
  const auto decode = [&](observe::Reader& in) {
    return decode_plan(in, requests_->running(), *requests_, {entries_, entry_capacity_});
  };
  std::uint16_t reason =
      ask(item, policy, entries, encode, decode,
          [&](policy::Scheduler& p, sl_out& gauges) { return p.plan(view_, entries, gauges); });
  if (reason != SL_REASON_NONE) return reason;
  reason = check_plan({entries_, entries.count}, gate);
  if (reason != SL_REASON_NONE) return reason;
  plan_count_ = entries.count;
  if (policy != nullptr) policy->health().good();
  return SL_REASON_NONE;
}

// Park, release and reject: what a gate may say too. Applied in order.
void Engine::apply_park_verbs(std::span<const sl_entry> entries, requests::Holder who) {
  for (const sl_entry& entry : entries) {
    const Slot slot = SL_SEQ_SLOT(entry.seq);
    switch (entry.verb) {
      case SL_PARK:
        requests_->park(slot, who, entry.arg, entry.reason);
        settle_waiting(slot);
        break;
      case SL_RELEASE:
        requests_->release(slot, who, now_ns_);
        settle_waiting(slot);
        break;
      case SL_REJECT: end_sequence(slot, SL_FINISH_REJECTED, entry.reason); break;
      default: break;
    }
  }
}

}  // namespace serveloop::engine
