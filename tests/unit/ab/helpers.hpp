// Runs made by hand, and runs whose latencies come from a process of known correlation.
#pragma once

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "experiment/ab/compare.hpp"
#include "experiment/draw.hpp"

namespace serveloop::experiment::ab::test {

inline SequenceResult sequence(std::uint64_t index, double at_s, double latency_ms) {
  SequenceResult s;
  s.request = index;
  s.arrival_ns = s.begun_ns = static_cast<std::uint64_t>(at_s * 1e9);
  s.first_token_ns = s.last_token_ns = s.end_ns = static_cast<std::uint64_t>(latency_ms * 1e6);
  s.prompt_tokens = 10;
  s.output_tokens = 1;
  return s;
}

// One request every `spacing_s`.
inline RunResult run_of(const std::vector<double>& latencies_ms, double spacing_s = 0.1) {
  RunResult run;
  run.repeat = 1;
  for (std::size_t i = 0; i < latencies_ms.size(); ++i)
    run.sequences.push_back(sequence(i, static_cast<double>(i) * spacing_s, latencies_ms[i]));
  return run;
}

// A first-order autoregression of mean 0 and variance 1, as a queue's length drifts: `memory` is the correlation of
// neighbours.
inline std::vector<double> autoregression(std::uint64_t seed, const char* label, std::size_t steps,
                                          double memory) {
  const Draws draws(seed, label);
  std::vector<double> out;
  double value = draws.normal(0);
  for (std::size_t i = 0; i < steps; ++i) {
    out.push_back(value);
    value = memory * value + std::sqrt(1 - memory * memory) * draws.normal(i + 1);
  }
  return out;
}

// Two arms whose requests meet queues that drift alike in part: log-normal latencies of one and the same distribution, those
// of the second arm times `factor`. Half of a queue's variance is shared, so that pairing matters.
inline std::vector<ArmRuns> queues(std::uint64_t seed, std::size_t requests, double memory,
                                   double factor = 1) {
  const auto shared = autoregression(seed, "shared", requests, memory);
  std::vector<ArmRuns> arms;
  for (const char* name : {"a", "b"}) {
    const auto own = autoregression(seed, name, requests, memory);
    const Draws noise(seed, std::string("noise ") + name);
    std::vector<double> latencies;
    for (std::size_t i = 0; i < requests; ++i)
      latencies.push_back(100 * (*name == 'b' ? factor : 1) *
                          std::exp(0.5 * std::sqrt(0.5) * (shared[i] + own[i]) + 0.3 * noise.normal(i)));
    arms.push_back({name, {run_of(latencies)}});
  }
  return arms;
}

inline Comparison compared(const std::vector<ArmRuns>& arms, const CompareOptions& options) {
  Result<Comparison> comparison = compare(arms, 0, options);
  if (!comparison) BOOST_FAIL(comparison.error().message());
  return std::move(*comparison);
}

inline CompareOptions only(std::vector<std::string> metrics, std::uint32_t resamples = 400) {
  CompareOptions options;
  options.metrics = std::move(metrics);
  options.resamples = resamples;
  return options;
}

inline const Difference& by(const Comparison& comparison, const std::string& key, std::size_t arm = 1) {
  for (const Difference& d : comparison.arms[arm].metrics)
    if (d.metric->key == key) return d;
  BOOST_FAIL("no metric " + key);
  return comparison.arms[arm].metrics[0];
}

}  // namespace serveloop::experiment::ab::test
