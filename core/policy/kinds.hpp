// The four kinds of instance: typed, thin, inline. A null optional function counts as one that had nothing to
// say. Every call returns SL_OK or a negative status (see reason_of). Threads: as instance.hpp.
#pragma once

#include <memory>
#include <utility>

#include "policy/instance.hpp"

namespace serveloop::policy {

template <class Derived, class Functions>
class InstanceOf : public Instance {
 public:
  static Result<std::shared_ptr<Derived>> create(std::shared_ptr<const Library> library,
                                                 CheckedOptions options, const Limits& limits,
                                                 bool is_gate = false) {
    Result<Made> made = make(std::move(library), std::move(options), limits, is_gate);
    if (!made) return tl::unexpected(made.error());
    return std::shared_ptr<Derived>(new Derived(std::move(*made)));
  }

 protected:
  explicit InstanceOf(Made made)
      : Instance(std::move(made)), functions_(library().template functions<Functions>()) {}
  const Functions functions_;
};

// What runs next? Also a gate.
class Scheduler final : public InstanceOf<Scheduler, sl_scheduler> {
 public:
  std::int32_t plan(const sl_view& view, sl_out& entries, sl_out& gauges) {
    return ask(view.step, entries, gauges, [&] { return functions_.plan(self(), &view, &entries, &gauges); });
  }
  bool hears() const { return functions_.note != nullptr; }
  std::int32_t note(const sl_view& view) {
    return hears() ? tell([&] { return functions_.note(self(), &view); }) : SL_OK;
  }

 private:
  using InstanceOf::InstanceOf;
  friend InstanceOf;
};

// What leaves the cache?
class Eviction final : public InstanceOf<Eviction, sl_eviction> {
 public:
  std::int32_t evict(const sl_evict_in& in, sl_out& victims, sl_out& gauges) {
    return ask(in.view->step, victims, gauges,
               [&] { return functions_.evict(self(), &in, &victims, &gauges); });
  }
  bool hears() const { return functions_.note != nullptr; }
  std::int32_t note(const sl_evict_in& in) {
    return hears() ? tell([&] { return functions_.note(self(), &in); }) : SL_OK;
  }

 private:
  using InstanceOf::InstanceOf;
  friend InstanceOf;
};

// Who yields?
class Preemption final : public InstanceOf<Preemption, sl_preemption> {
 public:
  std::int32_t preempt(const sl_preempt_in& in, sl_out& yields, sl_out& gauges) {
    return ask(in.view->step, yields, gauges,
               [&] { return functions_.preempt(self(), &in, &yields, &gauges); });
  }
  bool hears() const { return functions_.note != nullptr; }
  std::int32_t note(const sl_view& view) {
    return hears() ? tell([&] { return functions_.note(self(), &view); }) : SL_OK;
  }

 private:
  using InstanceOf::InstanceOf;
  friend InstanceOf;
};

// In what numbers?
class Precision final : public InstanceOf<Precision, sl_precision> {
 public:
  // One sl_op_plan per sl_op_key, in order.
  std::int32_t assign(const sl_table& keys, std::uint32_t mode, sl_out& op_plans) {
    sl_out none{};
    return ask(0, op_plans, none, [&] { return functions_.assign(self(), &keys, mode, &op_plans); });
  }
  std::int32_t effective(const sl_table& keys, std::uint32_t mode, const sl_table& op_plans) {
    if (functions_.effective == nullptr) return SL_OK;
    return tell([&] { return functions_.effective(self(), &keys, mode, &op_plans); });
  }
  std::int32_t modes(std::uint32_t& count) {  // at least 1 where it went well
    count = 1;
    if (functions_.modes == nullptr) return SL_OK;
    return tell([&] {
      count = functions_.modes(self());
      return count == 0 ? SL_ERROR : SL_OK;
    });
  }
  std::int32_t choose_mode(const sl_view& view, std::uint32_t& mode) {
    mode = 0;
    if (functions_.choose_mode == nullptr) return SL_OK;
    return tell([&] { return functions_.choose_mode(self(), &view, &mode); });
  }

 private:
  using InstanceOf::InstanceOf;
  friend InstanceOf;
};

// Gives `next` what `before` saved. False: their schemas differ or one has none, so `next` must be told by
// events.
Result<bool> hand_over_state(Instance& before, Instance& next);

}  // namespace serveloop::policy
