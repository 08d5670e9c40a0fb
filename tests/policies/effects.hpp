// Workloads of the kinds that papers show their policies on, drawn from a seed, and what of a run is looked at. The test of an
// effect runs it on ten seeds fixed beforehand, with memory to spare and without.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <functional>
#include <map>

#include "../sanitized.hpp"
#include "run_policy.hpp"

namespace serveloop::test {

using Run = PolicyRun;

inline std::uint64_t preemptions = 0;  // of all runs since it was set to 0

inline Run run(const std::string& toml, const std::vector<std::string>& sets) {
  Run ran = run_policy(toml, {sets.begin(), sets.end()});
  preemptions += ran.summary.counters.preemptions;
  return ran;
}

inline double seconds(std::uint64_t ns) { return static_cast<double>(ns) / 1e9; }
inline double latency_s(const engine::Finished& end) { return seconds(end.end_ns - end.arrival_ns); }
inline double first_token_s(const engine::Finished& end) {
  return seconds(end.first_token_ns - end.arrival_ns);
}

// Mean over those of which `of(sequence)` gives no negative value.
template <class Of>
double mean(const Run& run, Of&& of) {
  double sum = 0, count = 0;
  for (const experiment::SequenceEnd& end : run.sequences)
    if (const double value = of(end); value >= 0) sum += value, ++count;
  return count == 0 ? 0 : sum / count;
}
inline const experiment::LabelFigures& of_class(const std::string& label, const Run& run) {
  for (const experiment::LabelFigures& figures : run.summary.classes)
    if (figures.label == label) return figures;
  throw std::runtime_error("no class " + label);
}
inline double goodput_of(const std::string& label, const Run& run) {
  const experiment::Goodput& goodput = of_class(label, run).goodput;
  return static_cast<double>(goodput.met) / static_cast<double>(goodput.stated);
}

// An effect shows on so many of them. Sanitizers look for other things, and take ten times as long.
inline constexpr int kSeeds = kUnderAsan ? 2 : 10, kHold = kUnderAsan ? 1 : 9;
// With so few blocks fcfs preempts a request in two; rates below are of what fcfs can serve with them, and with enough.
inline constexpr const char* kTight = "engine.kv_blocks=2500";

inline constexpr const char* kEngine = R"(
[engine]
executor = "simulated"
token_budget = 2048
max_sequences = 64
context_tokens = 16384
lag = 1
[policy]
scheduler = "fcfs"
eviction = "lru"
preemption = "recompute"
precision = "native"
[simulated]
calibration = "h100-llama3.1-8b"
)";

// Five minutes of the Azure code trace, other ones for each seed.
inline std::string code(int seed, double rate_scale) {
  return kEngine + fmt::format(R"(
[workload]
trace = "data/traces/azure2023_code.csv"
format = "azure"
window = [{}, {}]
rate_scale = {}
seed = {}
)",
                               330 * (seed - 1), 330 * seed, rate_scale, seed);
}

// Requests of very different lengths, with predictions of their outputs.
inline std::string mixed(int seed, double rate, double noise) {
  return kEngine + fmt::format(R"(
[workload]
source = "synthetic"
rate_per_second = {}
requests = 800
seed = {}
predictions = {{ noise = {} }}
[workload.prompt]
mean_tokens = 400
cv = 1.0
max_tokens = 4000
[workload.output]
mean_tokens = 200
cv = 1.5
max_tokens = 3000
)",
                               rate, seed, noise);
}

// Two classes; a fifth of the requests is urgent where nothing else is said.
inline std::string classes(int seed, double rate, const std::string& urgent, const std::string& other,
                           int urgent_share = 1, int other_share = 4) {
  return kEngine + fmt::format(R"(
[workload]
source = "synthetic"
arrival = "gamma"
cv = 1.5
rate_per_second = {}
requests = 1500
seed = {}
[workload.prompt]
mean_tokens = 800
cv = 1.0
max_tokens = 4000
[workload.output]
mean_tokens = 100
cv = 0.8
max_tokens = 1000
[workload.classes.urgent]
share = {}
{}
[workload.classes.other]
share = {}
{}
)",
                               rate, seed, urgent_share, urgent, other_share, other);
}

// Most prompts are short; one in some 25 has 8,000 tokens and more.
inline std::string long_and_short(int seed, double rate) {
  return kEngine + fmt::format(R"(
[workload]
source = "synthetic"
rate_per_second = {}
requests = 2000
seed = {}
deadlines = {{ ttft_ms = 100, ttft_ms_per_1k_tokens = 400 }}
[workload.prompt]
mean_tokens = 1300
cv = 2.5
max_tokens = 15000
[workload.output]
mean_tokens = 20
cv = 0.5
max_tokens = 100
)",
                               rate, seed);
}

// Agents of a few calls and of many.
inline std::string programs(int seed) {
  return kEngine + fmt::format(R"(
[workload]
source = "programs"
rate_per_second = 3
count = 250
seed = {}
[workload.programs.agent]
system_tokens = 500
stages = {{ distribution = "lognormal", mean = 6, cv = 1.5, min = 1, max = 60 }}
prompt_tokens = {{ distribution = "lognormal", mean = 250, cv = 1.0, min = 10, max = 2000 }}
output_tokens = {{ distribution = "lognormal", mean = 120, cv = 1.0, min = 5, max = 1000 }}
tool_time_s = {{ distribution = "exponential", mean = 1.0, min = 0, max = 20 }}
)",
                               seed);
}

inline std::vector<std::string> with(const std::string& scheduler, bool tight,
                                     std::vector<std::string> more = {}) {
  more.push_back("policy.scheduler=" + scheduler);
  if (tight) more.push_back(kTight);
  return more;
}

// Calls holds(seed, tight) for each seed, with memory to spare and without. `yields`: with little somebody has to; not where all
// wait for room.
inline void on_most_seeds(const std::function<bool(int, bool)>& holds, bool yields = true) {
  for (const bool tight : {false, true}) BOOST_TEST_CONTEXT((tight ? "little memory" : "enough memory")) {
      int held = 0;
      preemptions = 0;
      for (int seed = 1; seed <= kSeeds; ++seed) held += holds(seed, tight) ? 1 : 0;
      BOOST_CHECK_GE(held, kHold);
      if (tight && yields) BOOST_CHECK_GT(preemptions, 0u);
    }
}

// Requests a second that are served where all are there at once, while the queue is long: between the first tenth of the ends
// and the last fifth. By fcfs where nothing else is said.
inline double capacity_per_s(const std::string& load, bool tight, const char* scheduler = "fcfs") {
  std::vector<std::uint64_t> ends;
  for (const engine::Finished& end :
       run(load, with(scheduler, tight, {"workload.rate_per_second=1000000"})).ends)
    ends.push_back(end.end_ns);
  const std::size_t from = ends.size() / 10, to = ends.size() * 8 / 10;
  return static_cast<double>(to - from) / seconds(ends[to] - ends[from]);
}
inline std::string at_rate(double per_s) { return fmt::format("workload.rate_per_second={}", per_s); }

inline double mean_latency(const Run& run) {
  return mean(run, [](const auto& end) { return latency_s(end.end); });
}

}  // namespace serveloop::test
