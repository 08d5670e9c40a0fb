// The engine's state at one step's border, for /metrics and tables. Plain values.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/toml.hpp"
#include "engine/output.hpp"

namespace serveloop::service {

// Durations in buckets with upper bounds in seconds; the last bucket is without bound.
struct TimeHistogram {
  static constexpr std::array<double, 19> kBounds{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,
                                                  2.5,   5,      10,    25,   50,    100,  250, 500,  1000};
  std::array<std::uint64_t, kBounds.size() + 1> counts{};
  double sum_s = 0;
  std::uint64_t count = 0;
  void add(std::uint64_t ns);
};

// A policy in force.
struct PolicyInForce {
  std::string kind;   // scheduler, gate, eviction, preemption, precision
  std::string place;  // a gate's id in the configuration; empty for others
  std::string id;     // "fallback": the linked-in one, after an ejection
  std::string version, sha256;
  toml::Value options;  // a table, defaults filled in; of the linked-in one empty
};

struct Snapshot {
  engine::Counters counters;
  std::uint32_t running = 0, waiting = 0;  // sequences
  std::uint32_t kv_blocks = 0, kv_free = 0,
                kv_cached = 0;  // device blocks; cached: held by nobody, evictable
  std::uint32_t host_blocks = 0, host_free = 0, host_cached = 0;  // of the tier in host memory
  std::uint32_t in_transit = 0, host_in_transit = 0;  // blocks with a copy pending, on the device and there
  std::uint32_t block_tokens = 0;
  std::vector<engine::Decision> decisions;
  std::map<std::string, std::uint64_t> finished;  // sequences by finish reason
  TimeHistogram first_token, between_tokens, end_to_end, queue, prefill, decode;
  std::vector<PolicyInForce> policies;
};

}  // namespace serveloop::service
