#include "execute/simulated.hpp"

#include "base/hash.hpp"

namespace serveloop::execute {

SimulatedExecutor::SimulatedExecutor(Clock& clock, const sl_cost& cost, std::uint32_t max_sequences)
    : device_(clock, cost), seeds_(max_sequences) {}

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
}

Collected SimulatedExecutor::collect() {
  const DeviceTime::Step step = device_.collect();
  spare_.push_back(std::move(last_));
  last_ = std::move(tokens_.front());
  tokens_.pop_front();
  return {step.step,      step.start_ns, step.end_ns, step.fails, step.fails ? "made to fail" : "",
          step.decode_ns, last_};
}

void NullExecutor::submit(const Batch& batch) {
  steps_.push_back({batch.step, clock_.now_ns(), batch.rows.size()});
}

Collected NullExecutor::collect() {
  const Step step = steps_.front();
  steps_.pop_front();
  if (tokens_.size() < step.rows) tokens_.resize(step.rows, 7);
  return {step.step, step.at_ns, step.at_ns, false, "", 0, {tokens_.data(), step.rows}};
}

}  // namespace serveloop::execute
