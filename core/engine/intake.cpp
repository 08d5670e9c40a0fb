// Part 1 of a step: what other threads said. post() is theirs; the rest is the loop's.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "engine/engine.hpp"
#include "engine/records.hpp"
#include "engine/reservation.hpp"

namespace serveloop::engine {

namespace {

// What its rows and its life tell of a sequence that ends.
Finished finished_of(requests::Manager& requests, Slot slot, const Life& life) {
  const sl_seq_row& r = requests.row(slot);
  const sl_seq_cold_row& cold = requests.cold(slot);
  const sl_request_row& request = requests.request_of(slot);
  Finished end;
  end.request = request.request;
  end.fork = r.fork;
  end.tenant = request.tenant;
  end.priority_rule = life.rule;
  end.prompt_tokens = request.prompt_tokens;
  end.output_tokens = r.generated;
  end.hit_tokens = life.hit_tokens;
  end.recomputed_tokens = life.recomputed_tokens;
  end.preemptions = r.preemptions;
  end.arrival_ns = request.arrival_ns;
  end.admitted_ns = cold.admitted_ns;
  end.first_token_ns = cold.first_token_ns;
  end.last_token_ns = cold.last_token_ns;
  end.service_ns = cold.service_ns;
  end.longest_gap_ns = requests.at(slot).longest_gap_ns;
  end.preempted_by = static_cast<std::uint32_t>(life.preempted_by);
  end.preempt_reason = life.preempt_reason;
  end.preempted_for = life.preempted_for;
  end.evicted_tokens = life.evicted_tokens;
  end.blocked_by = life.blocked_by;
  return end;
}

}  // namespace

Status Engine::post(Message message) {
  const std::lock_guard lock(inbox_mutex_);
  if (message.what == Message::What::arrive) {
    const std::uint32_t n = message.arrival->spec.n;
    if (inbox_sequences_ + known_waiting_ + n > options_.max_waiting)
      return fail("too many requests are waiting",
                  fmt::format("at most engine.max_waiting = {}", options_.max_waiting),
                  fmt::format("{} and {} more", inbox_sequences_ + known_waiting_, n), "try again later");
    inbox_sequences_ += n;
  }
  inbox_.push_back(std::move(message));
  return {};
}

void Engine::inject(Message message) {
  const std::lock_guard lock(inbox_mutex_);
  inbox_.push_back(std::move(message));
}

void Engine::take_messages() {
  cache_->begin_plan();
  {
    const std::lock_guard lock(inbox_mutex_);
    taken_.swap(inbox_);
    inbox_sequences_ = 0;
  }
  for (const Message& message : taken_) {
    log(observe::Item::message, [&](observe::Writer& out) { encode(message, out); });
    take(message);
  }
  const auto rows = static_cast<std::uint32_t>(taken_.size());
  taken_.clear();
  take_timers();
  if (rows > 0) mark(Phase::tokens, rows);
}

void Engine::take(const Message& message) {
  using What = Message::What;
  switch (message.what) {
    case What::arrive: take_arrival(*message.arrival); break;
    case What::cancel:
      for_request(message.request,
                  [&](Slot s) { end_sequence(s, SL_FINISH_CANCELLED, SL_REASON_CANCELLED); });
      break;
    case What::pause: for_request(message.request, [&](Slot s) { pause(s, message.a); }); break;
    case What::resume:
      for_request(message.request, [&](Slot s) {
        if (row(s).state != SL_PAUSED) return;
        requests_->resume(s, cache_->has_host_copy(s), now_ns_);
        cache_->set_waiting(s, true);
        settle_waiting(s);
      });
      break;
    case What::release:
      for_request(message.request, [&](Slot s) {
        requests_->release_all(s, now_ns_);
        settle_waiting(s);
      });
      break;
    case What::hint: requests_->event(SL_EV_HINT, message.request, message.a, message.b); break;
    case What::swap: start_swap(message.swap); break;
    case What::stop:  // its text came to a stop string
      for_request(message.request, [&](Slot s) {
        if (row(s).fork == message.a) end_sequence(s, SL_FINISH_STOP, SL_REASON_NONE);
      });
      break;
  }
}

void Engine::pause(Slot slot, std::uint64_t until_ns) {
  const sl_seq_row& r = row(slot);
  if (r.state == SL_PAUSED) return;
  if (r.state == SL_RUNNING) {
    free_rows_.push_back(requests_->at(slot).row);
  } else {
    cache_->set_waiting(slot, false);
  }
  requests_->pause(slot, until_ns);
  transition(slot, observe::State::paused);
}

void Engine::take_arrival(Arrival& arrival) {
  ++counters_.arrived;
  const requests::Labels labels = labeler_.label(arrival.spec);
  if (labels.rule >= 0)
    SPDLOG_DEBUG("request {}: priority rule '{}' gives priority {}, class {}", arrival.id,
                 labeler_.rule(labels.rule).name, labels.priority, labels.service_class);
  std::vector<Slot>& slots = by_request_[arrival.id];
  Status arrived;
  if (!requests_->room(arrival.spec.n))
    arrived = fail("no free sequence slot");
  else
    arrived = requests_->arrive(arrival.id, arrival.spec, arrival.prompt, arrival.max_tokens, labels, slots);
  if (!arrived) {
    ++counters_.refused;
    by_request_.erase(arrival.id);
    Finished end;
    end.request = arrival.id;
    end.finish = SL_FINISH_REJECTED;
    end.reason = SL_REASON_QUEUE_FULL;
    end.arrival_ns = end.end_ns = arrival.spec.arrival_ns;
    output_.finished(end, {});
    return;
  }
  counters_.prompt_tokens += arrival.prompt.size();
  counters_.lookup_tokens += arrival.prompt.size() * slots.size();
  samplings_[row(slots.front()).request] = arrival.spec.sampling;
  for (const Slot slot : slots) {
    cache_->bind(slot, {arrival.id, row(slot).request}, arrival.salt, arrival.prompt, arrival.keys,
                 arrival.transient);
    sl_seq_row& r = row(slot);
    r.node = cache_->node_of(slot);
    r.high_water =
        cache_->planned_prefix(slot, (r.runnable - 1) / options_.block_tokens) * options_.block_tokens;
    cache_->set_waiting(slot, true);
    life(slot) = {};
    life(slot).rule = labels.rule;
    ledger_.open(life(slot).account, arrival.spec.arrival_ns, arrival.ready_ns);
    transition(slot, observe::State::unnamed);
    ungated_.push_back(slot);
  }
}

void Engine::take_timers() {
  while (const std::optional<requests::Timer> timer = requests_->timers().pop_due(now_ns_)) {
    if (!requests_->alive(timer->seq)) continue;
    const Slot slot = SL_SEQ_SLOT(timer->seq);
    if (timer->why == requests::Timer::deadline) {
      end_sequence(slot, SL_FINISH_DEADLINE, SL_REASON_DEADLINE);
    } else if ((row(slot).not_ready & kHeld) != 0) {
      requests_->wake(slot, now_ns_);
      settle_waiting(slot);
    }
  }
}

void Engine::for_request(std::uint64_t request, const std::function<void(Slot)>& act) {
  const auto found = by_request_.find(request);
  if (found == by_request_.end()) return;
  const std::vector<Slot> slots = found->second;  // acting may erase
  for (const Slot slot : slots) act(slot);
}

void Engine::end_sequence(Slot slot, std::uint32_t finish, std::uint16_t reason) {
  const sl_seq_row& r = row(slot);
  const requests::Sequence& sequence = requests_->at(slot);
  if (sequence.row != SL_NONE) free_rows_.push_back(sequence.row);
  if (r.in_flight_max > 0 || r.preemptions > 0)
    for (InFlight& flight : in_flight_) flight.some_ended = true;
  if (r.state != SL_RUNNING && r.state != SL_PAUSED) cache_->set_waiting(slot, false);
  cache_->unbind(slot);
  if (reservation_ != nullptr) reservation_->release(slot);
  Finished end = finished_of(*requests_, slot, life(slot));
  end.finish = finish;
  end.reason = reason;
  end.end_ns = std::max(now_ns_, end.arrival_ns);
  end.causes = ledger_.close(life(slot).account, end.end_ns, static_cast<observe::State>(sequence.planned),
                             !in_flight_.empty());
  ++counters_.finished;
  requests_->end(slot, finish);
  const auto found = by_request_.find(end.request);
  std::erase(found->second, slot);
  if (found->second.empty()) by_request_.erase(found);
  log(observe::Item::ended, [&](observe::Writer& out) { encode_end(end, out); });
  deliver();
  output_.finished(end, requests_->generated(slot));
}

}  // namespace serveloop::engine
