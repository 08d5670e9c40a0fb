// Schedulers against what their papers claim, in simulations of an H100 with an 8B model.
#include <fmt/format.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cmath>
#include <filesystem>
#include <set>

#include "observe/step_log.hpp"
#include "run_policy.hpp"

namespace serveloop::test {

namespace {

// The Azure conversation trace, faster than it can be served, in a pool that fcfs fills to nine tenths.
constexpr const char* kShortOfMemory = R"(
[engine]
token_budget = 2048
max_sequences = 256
context_tokens = 16384
kv_blocks = 1700
lag = 1
[workload]
trace = "data/traces/azure2023_conv.csv"
window = [0, 400]
rate_scale = 2.2
)";

// FNV-1a over the plans of a minute of it.
std::uint64_t plans(const std::string& scheduler) {
  const auto log =
      std::filesystem::temp_directory_path() / fmt::format("schedulers-{}.slog", static_cast<long>(getpid()));
  run_policy(kShortOfMemory,
             {"workload.window=[0,60]", "policy.scheduler=" + scheduler, "observe.log=" + log.string()});
  std::uint64_t hash = 0xcbf29ce484222325u;
  const auto add = [&](std::uint64_t byte) { hash = (hash ^ byte) * 0x100000001b3u; };
  const auto reader = need(observe::LogReader::open(log.string()));
  for (observe::StepRecord step; need(reader->next(step));)
    for (const observe::StepRecord::Entry& entry : step.items) {
      if (entry.tag != observe::Item::plan) continue;
      add(step.step & 0xff);
      for (const std::uint8_t byte : entry.bytes) add(byte);
    }
  std::filesystem::remove(log);
  return hash;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(schedulers)

// Of the same parts as another it plans the same, byte for byte, through preemptions, and another where it is of others.
BOOST_AUTO_TEST_CASE(composed_plans_what_schedulers_of_its_parts_plan) {
  const auto composed = [&](const std::string& options) {
    return plans("{plugin='composed',options={" + options + "}}");
  };
  const std::uint64_t fcfs = plans("fcfs"), sarathi = plans("sarathi"), memory_aware = plans("memory-aware"),
                      orca = plans("orca"), prefill_first = plans("prefill-first");
  BOOST_TEST(composed("") == fcfs);
  BOOST_TEST(composed("chunking='decodes_first'") == sarathi);
  BOOST_TEST(composed("admission='predicted'") == memory_aware);
  BOOST_TEST(composed("admission='worst_case',chunking='whole'") == orca);
  BOOST_TEST(composed("chunking='prefill_first'") == prefill_first);
  BOOST_TEST(std::set<std::uint64_t>(
                 {fcfs, sarathi, memory_aware, orca, prefill_first, composed("order='shortest'")})
                 .size() == 6u);
}

// What yields is computed again, and what it had cached leaves while it waits to. On ten stretches of the trace, of which the pool is
// sized for the first: there fcfs fills nine tenths of it.
BOOST_AUTO_TEST_CASE(memory_aware_computes_little_twice) {
  int held = 0;
  for (int stretch = 0; stretch < 10; ++stretch) {
    const std::string window = fmt::format("workload.window=[{},{}]", 340 * stretch, 340 * stretch + 400);
    const auto summary = [&](const char* scheduler) {
      return run_policy(kShortOfMemory, {window, std::string("policy.scheduler=") + scheduler}).summary;
    };
    const experiment::Summary fcfs = summary("fcfs"), aware = summary("memory-aware");
    const engine::Counters &f = fcfs.counters, &a = aware.counters;
    BOOST_TEST_MESSAGE(fmt::format(
        "{}: held {:.3f}; preemptions {}, {}; recomputed {}, {}; regretted {}, {}; {:.1f}, {:.1f} s", window,
        fcfs.pool.held(), f.preemptions, a.preemptions, f.recomputed_tokens, a.recomputed_tokens,
        f.regretted_evictions, a.regretted_evictions, fcfs.seconds, aware.seconds));
    if (stretch == 0) BOOST_TEST(std::abs(fcfs.pool.held() - 0.9) < 0.01);
    BOOST_TEST(f.preemptions >= 200u);
    BOOST_TEST(a.output_tokens == f.output_tokens);
    held += a.preemptions < f.preemptions && a.recomputed_tokens < f.recomputed_tokens &&
            a.regretted_evictions < f.regretted_evictions && aware.seconds < 1.02 * fcfs.seconds;
  }
  BOOST_TEST(held >= 9);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
