// The [workload] of a configuration: which requests arrive, and when. A trace, or a synthetic stream drawn
// from a seed; labels (tenants, categories, deadlines, shared prefixes) are drawn on top of either. Thread
// safety: plain values.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace serveloop::config {

// A length is drawn, rounded, then cut to [min_tokens, max_tokens].
struct Lengths {
  std::string distribution = "lognormal";  // lognormal: mean, cv | uniform: min to max | fixed: mean
  double mean_tokens = 0;
  double cv = 1.0;  // standard deviation over mean
  std::uint32_t min_tokens = 1;
  std::uint32_t max_tokens = 131072;
  bool operator==(const Lengths&) const = default;
};

struct Window {
  double from_s = 0, to_s = 0;  // [from, to) of the trace's own time, from its first request
  bool operator==(const Window&) const = default;
};

struct Deadlines {
  std::optional<double> ttft_ms, tbt_ms, end_ms;  // relative to arrival; between tokens; relative to arrival
  double share = 1.0;                             // of requests that have them
  bool operator==(const Deadlines&) const = default;
};

struct SharedPrefix {
  std::uint32_t groups = 0;  // 0 = none
  std::uint32_t tokens = 0;  // of each group's prefix; cut to the prompt
  double share = 1.0;        // of requests that open with one
  bool operator==(const SharedPrefix&) const = default;
};

struct Workload {
  std::string source;  // trace | synthetic; empty = no workload stated
  // Of a trace.
  std::string trace;   // absolute path
  std::string format;  // azure | mooncake
  std::optional<Window> window;
  std::optional<std::uint64_t> limit;  // requests, counted in the window
  double prompt_scale = 1.0, output_scale = 1.0;
  // Of a synthetic stream.
  std::string arrival = "poisson";           // poisson | gamma | closed
  std::optional<double> rate_per_second;     // poisson, gamma
  double cv = 1.0;                           // gamma: of the gaps; above 1 is bursty
  std::optional<std::uint32_t> concurrency;  // closed: requests in the system at once
  double think_time_s = 0;  // closed: mean of an exponential pause before a client's next request
  std::uint32_t requests = 1000;
  Lengths prompt{"lognormal", 512}, output{"lognormal", 128};
  // Of both.
  double rate_scale = 1.0;                   // 2 = twice the arrivals per second
  std::map<std::string, double> tenants;     // shares, by weight; empty = no tenant
  std::map<std::string, double> categories;  // likewise
  Deadlines deadlines;
  SharedPrefix shared_prefix;
  std::uint32_t n = 1;     // sequences a request
  std::uint64_t seed = 1;  // of every draw
  bool operator==(const Workload&) const = default;
};

}  // namespace serveloop::config
