// What iteration-level batching, chunks and reservations bring and cost: the baselines that the field measures against.
#include <serveloop/cost.h>

#include "config/calibration.hpp"
#include "effects.hpp"
#include "rig/calibration.hpp"

namespace serveloop::test {

namespace {

// Prompts of 8,192 tokens come twice a second, beside up to 32 that decode.
constexpr std::uint32_t kPrompt = 8192, kOutput = 256, kDecodes = 32;
std::string long_prompts(int seed) {
  return kEngine + fmt::format(R"(
[workload]
source = "synthetic"
rate_per_second = 2
requests = 120
seed = {}
prompt = {{ distribution = "fixed", mean_tokens = {} }}
output = {{ distribution = "fixed", mean_tokens = {} }}
)",
                               seed, kPrompt, kOutput);
}

// The longest that a step of `tokens` tokens takes there: all others decode at the end of their outputs, and the rest of it
// is the end of a prompt.
double longest_step_ms(std::uint32_t tokens) {
  const config::Calibration c =
      need(config::load_calibration(SERVELOOP_SOURCE_ROOT "/configs/calibrations/h100-llama3.1-8b.toml"));
  const sl_cost cost = rig::cost_of(c, 16);
  const std::uint32_t chunk = tokens - kDecodes;
  const double device_ns = sl_predict_step_ns(&cost, kDecodes, std::uint64_t{kDecodes} * (kPrompt + kOutput),
                                              chunk, sl_chunk_pairs(kPrompt - chunk, chunk));
  const double host_us = c.host_step_us + c.host_sequence_us * kDecodes * 2 + c.policy_us * 8;
  return device_ns * 1e-6 + host_us * 1e-3;
}

// Of those that never yielded: who does waits for memory, not for others' prompts.
double longest_gap_ms(const Run& run) {
  std::uint64_t longest = 0;
  for (const engine::Finished& end : run.ends)
    if (end.preemptions == 0) longest = std::max(longest, end.longest_gap_ns);
  return 1000 * seconds(longest);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(batching)

BOOST_AUTO_TEST_CASE(sarathi_bounds_the_time_between_tokens_and_prefill_first_does_not) {
  const double of_a_chunk = longest_step_ms(512), of_a_budget = longest_step_ms(2048);
  BOOST_TEST(of_a_budget > of_a_chunk);
  on_most_seeds([&](int seed, bool tight) {
    const auto longest = [&](const std::string& scheduler) {
      const Run ran =
          run(long_prompts(seed), with(scheduler, false,
                                       {"engine.max_sequences=32", "engine.lag=0",
                                        tight ? "engine.kv_blocks=6000" : "engine.kv_blocks=20000"}));
      BOOST_TEST(ran.summary.completed == 120u);
      return longest_gap_ms(ran);
    };
    const double sarathi = longest("{plugin='sarathi',options={chunk_budget=512}}"),
                 prefill_first = longest("prefill-first");
    BOOST_TEST_MESSAGE(fmt::format(
        "seed {}, tight {}: longest gap of sarathi {:.1f} of {:.1f} ms, of prefill-first {:.1f} of {:.1f}",
        seed, tight, sarathi, of_a_chunk, prefill_first, of_a_budget));
    return sarathi <= of_a_chunk && prefill_first > of_a_budget;
  });
}

// Orca (OSDI 2022): at a load that batches of requests can serve, who need not wait for the longest of a batch answers sooner; at
// one that is too much for both, more is served.
BOOST_AUTO_TEST_CASE(orca_serves_sooner_and_more_than_static_batches) {
  for (const double load : {0.5, 2.0})
    on_most_seeds(
        [&](int seed, bool tight) {
          const std::string requests = mixed(seed, 1, 0);
          const std::string rate = at_rate(load * capacity_per_s(requests, tight, "static"));
          const Run still = run(requests, with("static", tight, {rate})),
                    orca = run(requests, with("orca", tight, {rate}));
          BOOST_TEST_MESSAGE(fmt::format(
              "load {}, seed {}, tight {}: mean {:.2f} and {:.2f} s, in {:.1f} and {:.1f} s", load, seed,
              tight, mean_latency(still), mean_latency(orca), still.summary.seconds, orca.summary.seconds));
          return mean_latency(orca) < mean_latency(still) &&
                 (load < 1 || orca.summary.seconds < still.summary.seconds);
        },
        false);
}

// Continuous batching keeps the batch full where a static one empties until its longest request has ended.
BOOST_AUTO_TEST_CASE(a_static_batch_runs_empty) {
  on_most_seeds([](int seed, bool tight) {
    const std::string load = mixed(seed, 1000000, 0);  // all at once
    const auto rows = [&](const char* scheduler) {
      const engine::Counters c = run(load, with(scheduler, tight)).summary.counters;
      return static_cast<double>(c.batch_rows) / static_cast<double>(c.steps);
    };
    const double fcfs = rows("fcfs"), still = rows("static");
    BOOST_TEST_MESSAGE(
        fmt::format("seed {}, tight {}: {:.1f} and {:.1f} rows a step", seed, tight, fcfs, still));
    return still < 0.7 * fcfs;
  });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
