#include "execute/simulated.hpp"

#include <algorithm>

#include "base/hash.hpp"

namespace serveloop::execute {

SimulatedExecutor::SimulatedExecutor(Clock& clock, const sl_cost& cost, std::uint32_t max_sequences)
    : clock_(clock), device_(clock, cost), copies_(cost), seeds_(max_sequences) {}

void SimulatedExecutor::submit(const Batch& batch) {
  for (const Begin& begin : batch.begins) seeds_[begin.row] = mix(begin.sampling->seed, begin.fork);
  std::vector<std::uint32_t> tokens;
  if (!spare_.empty()) {
    tokens = std::move(spare_.back());
    spare_.pop_back();
  }
  tokens.resize(batch.rows.size());
  for (std::size_t i = 0; i < batch.rows.size(); ++i) {
    const BatchRow& row = batch.rows[i];
    tokens[i] =
        3 + static_cast<std::uint32_t>((mix(seeds_[row.row], row.start + row.tokens) >> 32) * 32000u >> 32);
  }
  tokens_.push_back(std::move(tokens));
  device_.submit(batch);
  copies_.submit(batch.copies, device_.last_start_ns());
}

Collected SimulatedExecutor::collect() {
  const DeviceTime::Step step = device_.collect();
  spare_.push_back(std::move(last_));
  last_ = std::move(tokens_.front());
  tokens_.pop_front();
  if (last_.empty() && copies_.next_end_ns() != SL_NEVER) clock_.wait_until(copies_.next_end_ns());
  copies_.finish(std::max(clock_.now_ns(), step.end_ns), [](const BlockCopy&, bool) {});
  Collected done{step.step,      step.start_ns, step.end_ns, step.fails, step.fails ? "made to fail" : "",
                 step.decode_ns, last_};
  copies_.tell(done);
  return done;
}

void NullExecutor::submit(const Batch& batch) {
  steps_.push_back({batch.step, clock_.now_ns(), batch.rows.size(), copies_ += batch.copies.size()});
}

Collected NullExecutor::collect() {
  const Step step = steps_.front();
  steps_.pop_front();
  if (tokens_.size() < step.rows) tokens_.resize(step.rows, 7);
  Collected done{step.step, step.at_ns, step.at_ns, false, "", 0, {tokens_.data(), step.rows}};
  done.copies_ended = step.copies;
  return done;
}

}  // namespace serveloop::execute
