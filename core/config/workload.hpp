// The [workload] of a configuration: which requests arrive, and when. A trace, or a synthetic stream drawn
// from a seed; labels (tenants, classes, deadlines, predictions, shared prefixes) are drawn on top of either.
// Thread safety: plain values.
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

// A number to draw. TOML: the number itself, or a table of these.
struct Spread {
  std::string distribution = "fixed";  // fixed: mean | lognormal: mean, cv | exponential: mean | uniform
  double mean = 0;
  double cv = 1.0;          // standard deviation over mean
  double min = 0, max = 0;  // what is drawn is cut to; of uniform: its ends. Not of fixed
  bool operator==(const Spread&) const = default;
};

struct Window {
  double from_s = 0, to_s = 0;  // [from, to) of the trace's own time, from its first request
  bool operator==(const Window&) const = default;
};

struct Deadlines {
  std::optional<double> ttft_ms, tbt_ms, end_ms;  // relative to arrival; between tokens; relative to arrival
  double share = 1.0;                             // of requests that have them
  std::optional<double> ttft_ms_per_1k_tokens;    // of the prompt; added to ttft_ms where both are stated
  bool operator==(const Deadlines&) const = default;
};

// A class of requests: what its members carry.
struct RequestClass {
  double share = 1.0;  // by weight
  std::optional<std::int32_t> priority;
  std::optional<std::string> category;  // unset: the class's name
  std::optional<std::string> tenant;
  std::optional<double> ttft_ms, ttft_ms_per_1k_tokens, tbt_ms, end_ms;  // as in Deadlines
  bool operator==(const RequestClass&) const = default;
};

// Predictions of the output's length: the true one x bias x a lognormal error.
struct Predictions {
  std::optional<double> noise;  // standard deviation of the error's logarithm, 0: exact; unset: none is made
  double bias = 1.0;
  double share = 1.0;  // of requests that carry one
  bool operator==(const Predictions&) const = default;
};

// Every `every_s` seconds `length_s` in which arrivals come `factor` times as fast as in the rest.
struct Bursts {
  double every_s = 0;  // 0: none
  double length_s = 0;
  double factor = 1.0;
  bool operator==(const Bursts&) const = default;
};

struct SharedPrefix {
  std::uint32_t groups = 0;  // 0 = none
  std::uint32_t tokens = 0;  // of each group's prefix; cut to the prompt
  double share = 1.0;        // of requests that open with one
  bool operator==(const SharedPrefix&) const = default;
};

// Each session is a chain of turns: a prompt is the whole history and new tokens.
struct Sessions {
  Spread turns{"fixed", 5};
  Spread think_time_s{"fixed", 10};  // between a turn's end and the next
  bool operator==(const Sessions&) const = default;
};

// One kind of program: a chain of stages, each of one call or of several side by side, with tools between.
struct ProgramKind {
  double share = 1.0;               // by weight
  std::uint32_t system_tokens = 0;  // of a prefix that all of this kind share
  Spread stages{"fixed", 5};
  Spread fan_out{"fixed", 1};          // calls of a stage
  Spread prompt_tokens{"fixed", 200};  // new ones, of each call
  Spread output_tokens{"fixed", 100};
  Spread tool_time_s{"fixed", 1};  // between a stage's end and the next
  bool history = true;             // a call's prompt holds all stages before
  bool operator==(const ProgramKind&) const = default;
};

struct Workload {
  std::string source;  // trace | synthetic | sessions | programs; empty = no workload stated
  // Of a trace.
  std::string trace;   // absolute path
  std::string format;  // azure | mooncake | serveloop | step_log
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
  // Of sessions and programs, whose starts are an open process: `arrival`, `rate_per_second`, `cv`.
  std::uint32_t count = 100;                    // how many begin
  Sessions sessions;                            // their lengths are `prompt` and `output`
  std::map<std::string, ProgramKind> programs;  // kinds by name
  // Of all.
  double rate_scale = 1.0;                      // 2 = twice the arrivals per second
  std::map<std::string, double> tenants;        // shares, by weight; empty = no tenant
  std::map<std::string, double> categories;     // likewise
  std::map<std::string, RequestClass> classes;  // by name; empty = none
  Deadlines deadlines;
  Predictions predictions;
  Bursts bursts;  // of an open loop
  SharedPrefix shared_prefix;
  std::uint32_t n = 1;     // sequences a request
  std::uint64_t seed = 1;  // of every draw
  bool operator==(const Workload&) const = default;
};

}  // namespace serveloop::config
