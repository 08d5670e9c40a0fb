// A recorded step log in the place of clock, executor and log: what the loop asks for it gets from there, and what it writes is
// held against it. The loop thread's.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "execute/executor.hpp"
#include "observe/step_log.hpp"
#include "rig/recording_executor.hpp"

namespace serveloop::experiment {

using ItemBytes = std::span<const std::uint8_t>;

// Thrown out of the loop where the log holds what no engine can have written.
struct Damaged {
  std::string expected, found;
};

// Thrown out of the loop at the first difference: nothing after it could be compared.
struct Differs {
  observe::Item recorded_tag, tag;
  ItemBytes recorded;
  std::vector<std::uint8_t> replayed;
};

// The recorded step under replay: its items are taken in order by the clock, the executor and the loop's log.
class Script final : public observe::StepLog {
 public:
  observe::StepRecord record;
  std::uint64_t decisions = 0;
  bool other_policies = false;  // their gauges are their own: only decisions are compared

  void begin_step(std::uint64_t step) override {
    next_ = 0;
    if (step != record.step) throw Damaged{fmt::format("step {}", step), fmt::format("step {}", record.step)};
  }
  void item(observe::Item tag, ItemBytes bytes) override {
    if (tag == observe::Item::gauges && other_policies) return;
    const ItemBytes recorded = take(tag, bytes);
    if (recorded.size() != bytes.size() || !std::equal(bytes.begin(), bytes.end(), recorded.begin()))
      throw Differs{tag, tag, recorded, {bytes.begin(), bytes.end()}};
    decisions += is_decision(tag) ? 1 : 0;
  }
  void end_step() override {
    skip_gauges();
    if (next_ != record.items.size())
      throw Differs{record.items[next_].tag, observe::Item{}, record.items[next_].bytes, {}};
  }
  // The next item, which must be a `tag`.
  ItemBytes take(observe::Item tag, ItemBytes instead = {}) {
    skip_gauges();
    if (next_ >= record.items.size())
      throw Differs{observe::Item{}, tag, {}, {instead.begin(), instead.end()}};
    const auto& entry = record.items[next_];
    if (entry.tag != tag) throw Differs{entry.tag, tag, entry.bytes, {instead.begin(), instead.end()}};
    ++next_;
    return entry.bytes;
  }
  std::optional<ItemBytes> peek(observe::Item tag) const {
    if (next_ < record.items.size() && record.items[next_].tag == tag) return record.items[next_].bytes;
    return std::nullopt;
  }

 private:
  static bool is_decision(observe::Item tag) {
    return tag == observe::Item::gate || tag == observe::Item::plan || tag == observe::Item::evict ||
           tag == observe::Item::preempt || tag == observe::Item::mode;
  }
  void skip_gauges() {
    while (other_policies && next_ < record.items.size() && record.items[next_].tag == observe::Item::gauges)
      ++next_;
  }
  std::size_t next_ = 0;
};

class ScriptClock final : public Clock {
 public:
  static constexpr std::uint64_t kLongest = std::uint64_t{1} << 60;  // ns: 36 years
  explicit ScriptClock(Script& script) : script_(script) {}
  std::uint64_t now_ns() override {
    observe::Reader in(script_.take(observe::Item::clock));
    const std::uint64_t later = in.u64();
    if (!in.ok() || !in.done() || later > kLongest - now_) throw Damaged{"a clock reading", "other bytes"};
    return now_ += later;
  }
  void charge(Phase, std::uint32_t) override {}
  void wait_until(std::uint64_t) override {}

 private:
  Script& script_;
  std::uint64_t now_ = 0;
};

class ScriptExecutor final : public execute::Executor {
 public:
  ScriptExecutor(Script& script, std::vector<sl_op_key> op_keys)
      : script_(script), op_keys_(std::move(op_keys)) {}
  void submit(const execute::Batch& batch) override {
    copies_ += batch.copies.size();
    in_flight_.push_back({batch.step, batch.rows.size(), copies_});
  }
  execute::Collected collect() override {
    observe::Reader in(script_.take(observe::Item::collected));
    execute::Collected done = rig::decode_collected(in, parts_);
    const Submitted step = in_flight_.front();
    in_flight_.pop_front();
    if (!in.ok() || !in.done() || done.step != step.step || done.tokens.size() != step.rows ||
        done.device_end_ns < done.device_start_ns || done.device_end_ns >> 60 != 0 ||
        !copies_fit(done, step.copies))
      throw Damaged{fmt::format("what step {} brought, with {} tokens", step.step, step.rows),
                    fmt::format("step {} with {}", done.step, done.tokens.size())};
    return done;
  }
  // Plans are asked for again and not compared: of precision a log holds each step's mode.
  std::span<const sl_op_key> op_keys() const override { return op_keys_; }
  Status apply(std::uint32_t, std::span<const sl_op_plan> plans) override {
    plans_.assign(plans.begin(), plans.end());
    return {};
  }
  std::span<const sl_op_plan> effective(std::uint32_t) const override { return plans_; }

 private:
  struct Submitted {
    std::uint64_t step;
    std::size_t rows;
    std::uint64_t copies;  // handed over by then
  };
  // No more have ended than were begun, none twice, and those that failed are of those that ended just now.
  bool copies_fit(const execute::Collected& done, std::uint64_t begun) {
    std::uint64_t from = ended_;
    for (const std::uint64_t copy : done.copies_failed) {
      if (copy < from || copy >= done.copies_ended) return false;
      from = copy + 1;
    }
    return done.copies_ended <= begun && std::exchange(ended_, done.copies_ended) <= done.copies_ended;
  }
  Script& script_;
  std::uint64_t copies_ = 0, ended_ = 0;
  std::vector<sl_op_key> op_keys_;
  std::vector<sl_op_plan> plans_;
  std::deque<Submitted> in_flight_;
  rig::CollectedParts parts_;
};

}  // namespace serveloop::experiment
