// What tenants were served at each step of a run, read from the engine and not from a policy; and how far two that always
// have somebody waiting came apart.
#pragma once

#include <algorithm>
#include <map>
#include <set>

#include "engine/engine.hpp"

namespace serveloop::test {

class TenantService {
 public:
  // `cached`: prompt tokens that were hit count too.
  TenantService(double input_weight, double output_weight, bool cached)
      : input_weight_(input_weight), output_weight_(output_weight), cached_(cached) {}

  // After each step. An admission stands among the events that no policy was told yet.
  void stepped(const engine::Engine& engine) {
    const requests::Manager& requests = engine.requests();
    const sl_table events = requests.events();
    for (std::uint32_t i = 0; i < events.count; ++i) {
      const sl_event& event = static_cast<const sl_event*>(events.base)[i];
      if (event.kind == SL_EV_ADMITTED) admitted(requests, SL_SEQ_SLOT(event.subject), event.a);
      if (event.kind == SL_EV_ENDED) served(requests, SL_SEQ_SLOT(event.subject));
    }
    std::set<std::uint32_t> waiting;
    for (const requests::Slot slot : requests.live_slots()) {
      if (requests.row(slot).state == SL_RUNNING)
        served(requests, slot);
      else if (!of_.contains(requests.row(slot).id))
        waiting.insert(requests.request_of(slot).tenant);
    }
    compare(waiting);
  }

  // The most by which the service of one of the two grew more than that of the other over any stretch of time within the
  // longest one in which both had somebody waiting, by weight.
  double gap() const { return gap_; }
  std::uint64_t steps() const { return steps_; }  // in it
  double of(std::uint32_t tenant) const { return service_.at(tenant); }

 private:
  struct Of {
    std::uint32_t generated = 0;
  };
  double weight(const requests::Manager& requests, requests::Slot slot) const {
    return requests.request_of(slot).tenant_weight_milli / 1000.0;
  }
  void admitted(const requests::Manager& requests, requests::Slot slot, std::uint64_t hit) {
    if (!of_.try_emplace(requests.row(slot).id).second) return;  // it came back
    const sl_request_row& request = requests.request_of(slot);
    const double tokens =
        static_cast<double>(request.prompt_tokens) - (cached_ ? 0 : static_cast<double>(hit));
    service_[request.tenant] += input_weight_ * tokens / weight(requests, slot);
  }
  void served(const requests::Manager& requests, requests::Slot slot) {
    Of& of = of_[requests.row(slot).id];
    const std::uint32_t generated = requests.row(slot).generated;
    service_[requests.request_of(slot).tenant] +=
        output_weight_ * (generated - of.generated) / weight(requests, slot);
    of.generated = generated;
  }
  void compare(const std::set<std::uint32_t>& waiting) {
    if (waiting.size() != 2) {
      now_ = 0;
      return;
    }
    const double difference = service_[*waiting.begin()] - service_[*waiting.rbegin()];
    if (now_++ == 0) low_ = high_ = difference;
    low_ = std::min(low_, difference);
    high_ = std::max(high_, difference);
    if (now_ < steps_) return;
    steps_ = now_;
    gap_ = high_ - low_;
  }

  double input_weight_, output_weight_;
  bool cached_;
  std::map<sl_seq, Of> of_;                  // that were admitted
  std::map<std::uint32_t, double> service_;  // by tenant
  double low_ = 0, high_ = 0, gap_ = 0;
  std::uint64_t now_ = 0, steps_ = 0;
};

}  // namespace serveloop::test
