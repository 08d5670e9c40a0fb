// How an instance fares: calls, answers refused by reason, and whether it is time to eject it.
//
// An instance is to be ejected after `consecutive` refusals in a row, or once refusals pile up: each counts
// one, each `forgive_calls` good answers take one off, and `total` is the limit. So one that fails now and
// then is kept, and one that alternates between good and bad answers is not. Thread safety: none; it belongs
// to the thread that calls the instance.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace serveloop::policy {

struct EjectRule {
  std::uint32_t consecutive = 8;
  std::uint32_t total = 64;
  std::uint32_t forgive_calls = 256;
};

class Health {
 public:
  explicit Health(EjectRule rule = {}) : rule_(rule) {}

  // What the instance itself counts.
  void called() { ++calls_; }

  // What its caller reports: the answer held, or was refused with SL_REASON_* and the fallback answered.
  void good() {
    consecutive_ = 0;
    debt_ -= debt_ > 0 ? 1 : 0;
  }
  void refused(std::uint16_t reason);

  bool should_eject() const {
    return consecutive_ >= rule_.consecutive || debt_ >= std::uint64_t{rule_.total} * rule_.forgive_calls;
  }

  std::uint64_t calls() const { return calls_; }
  std::uint64_t refusals() const { return refusals_; }
  std::uint64_t refusals(std::uint16_t reason) const;
  std::uint32_t consecutive() const { return consecutive_; }
  // {reason, count}, in the order of first occurrence.
  const std::vector<std::pair<std::uint16_t, std::uint64_t>>& by_reason() const { return by_reason_; }

 private:
  EjectRule rule_;
  std::uint64_t calls_ = 0, refusals_ = 0;
  std::uint64_t debt_ = 0;  // in good answers still owed
  std::uint32_t consecutive_ = 0;
  std::vector<std::pair<std::uint16_t, std::uint64_t>> by_reason_;
};

}  // namespace serveloop::policy
