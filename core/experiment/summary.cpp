#include "experiment/summary.hpp"

#include <serveloop/events.h>

#include <algorithm>
#include <bit>
#include <cmath>

namespace serveloop::experiment {

void Histogram::add(std::uint64_t ns) {
  const int log = std::max(0, static_cast<int>(std::bit_width(ns)) - 8);  // ns >> log has at most 8 bits
  const std::size_t index = static_cast<std::size_t>(log) * 128 + static_cast<std::size_t>(ns >> log);
  ++buckets_[std::min(index, kBuckets - 1)];
  ++count_;
}

double Histogram::percentile_ms(double p) const {
  if (count_ == 0) return kNone;
  const auto rank = static_cast<std::uint64_t>(std::ceil(p / 100.0 * static_cast<double>(count_)));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    seen += buckets_[i];
    if (seen < std::max<std::uint64_t>(1, rank)) continue;
    if (i < 256) return static_cast<double>(i) * 1e-6;
    const std::size_t log = i / 128 - 1;
    return std::ldexp(static_cast<double>(i - log * 128) + 0.5, static_cast<int>(log)) * 1e-6;
  }
  return 0;
}

Percentiles percentiles(std::vector<std::uint64_t> ns) {
  if (ns.empty()) return {};
  std::sort(ns.begin(), ns.end());
  const auto at = [&](double p) {
    const auto rank = static_cast<std::size_t>(std::ceil(p / 100.0 * static_cast<double>(ns.size())));
    return static_cast<double>(ns[std::max<std::size_t>(1, rank) - 1]) * 1e-6;
  };
  return {at(50), at(90), at(99), static_cast<double>(ns.back()) * 1e-6};
}

void PoolUse::add(const engine::KvUse& use, std::uint64_t for_ns) {
  const auto ns = static_cast<double>(for_ns);
  const auto sum = [ns](double& into, std::uint64_t tokens) { into += ns * static_cast<double>(tokens); };
  sum(pool_, use.pool_tokens);
  sum(held_, use.held_tokens);
  sum(unfilled_, use.unfilled_tokens);
  sum(fragmented_, use.fragmented_tokens);
  sum(running_, use.running);
  ns_ += ns;
}

double PoolUse::running() const { return ns_ > 0 ? running_ / ns_ : kNone; }

void Recorder::tokens(std::span<const engine::Delivered> tokens) {
  for (const engine::Delivered& token : tokens)
    if (token.index > 0) gaps_.add(token.gap_ns);
}

void Recorder::finished(const engine::Finished& end, std::span<const requests::Token> generated) {
  ends_.push_back(end);
  if (keeps_generated_ && end.fork == 0) generated_[end.request].assign(generated.begin(), generated.end());
}

std::vector<requests::Token> Recorder::take_generated(std::uint64_t request) {
  const auto found = generated_.find(request);
  if (found == generated_.end()) return {};
  std::vector<requests::Token> tokens = std::move(found->second);
  generated_.erase(found);
  return tokens;
}

std::vector<engine::Finished> Recorder::take_new() {
  std::vector<engine::Finished> fresh(ends_.begin() + static_cast<std::ptrdiff_t>(taken_), ends_.end());
  taken_ = ends_.size();
  return fresh;
}

void Recorder::summarise(Summary& s) const {
  std::vector<std::uint64_t> first, whole, gaps;
  for (const engine::Finished& end : ends_) {
    switch (end.finish) {
      case SL_FINISH_LENGTH:
      case SL_FINISH_STOP: ++s.completed; break;
      case SL_FINISH_CANCELLED: ++s.cancelled; break;
      case SL_FINISH_DEADLINE: ++s.deadline; break;
      case SL_FINISH_REJECTED: ++s.rejected; break;
      default: ++s.failed; break;
    }
    for (std::size_t i = 0; i < observe::kCauses; ++i) s.causes[i] += end.causes[i];
    if (end.first_token_ns == 0) continue;
    first.push_back(end.first_token_ns - end.arrival_ns);
    if (end.finish == SL_FINISH_LENGTH || end.finish == SL_FINISH_STOP)
      whole.push_back(end.end_ns - end.arrival_ns);
    if (end.output_tokens > 1) gaps.push_back(end.longest_gap_ns);
  }
  s.first_token = percentiles(std::move(first));
  s.end_to_end = percentiles(std::move(whole));
  const Percentiles longest = percentiles(std::move(gaps));
  s.longest_gap_p99 = longest.p99;
  s.longest_gap = longest.max;
  s.between_p50 = gaps_.percentile_ms(50);
  s.between_p90 = gaps_.percentile_ms(90);
  s.between_p99 = gaps_.percentile_ms(99);
}

}  // namespace serveloop::experiment
