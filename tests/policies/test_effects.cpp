// What papers say that their policies bring, on workloads of their kind, with memory to spare and without.
#include <fmt/format.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <functional>
#include <map>

#include "run_policy.hpp"

namespace serveloop::test {

namespace {

using Run = PolicyRun;

std::uint64_t preemptions = 0;  // of all runs since it was set to 0

Run run(const std::string& toml, const std::vector<std::string>& sets) {
  Run ran = run_policy(toml, {sets.begin(), sets.end()});
  preemptions += ran.summary.counters.preemptions;
  return ran;
}

double seconds(std::uint64_t ns) { return static_cast<double>(ns) / 1e9; }
double latency_s(const engine::Finished& end) { return seconds(end.end_ns - end.arrival_ns); }
double first_token_s(const engine::Finished& end) { return seconds(end.first_token_ns - end.arrival_ns); }

// Mean over those of which `of(sequence)` gives no negative value.
template <class Of>
double mean(const Run& run, Of&& of) {
  double sum = 0, count = 0;
  for (const experiment::SequenceEnd& end : run.sequences)
    if (const double value = of(end); value >= 0) sum += value, ++count;
  return count == 0 ? 0 : sum / count;
}
const experiment::LabelFigures& of_class(const std::string& label, const Run& run) {
  for (const experiment::LabelFigures& figures : run.summary.classes)
    if (figures.label == label) return figures;
  throw std::runtime_error("no class " + label);
}
double goodput_of(const std::string& label, const Run& run) {
  const experiment::Goodput& goodput = of_class(label, run).goodput;
  return static_cast<double>(goodput.met) / static_cast<double>(goodput.stated);
}

constexpr int kSeeds = 10, kHold = 9;  // an effect shows on so many of them
// With so few blocks fcfs preempts a request in two; rates below are of what fcfs can serve with them, and with enough.
constexpr const char* kTight = "engine.kv_blocks=2500";

constexpr const char* kEngine = R"(
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
std::string code(int seed, double rate_scale) {
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
std::string mixed(int seed, double rate, double noise) {
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

// Two classes: a fifth of the requests is urgent.
std::string classes(int seed, double rate, const std::string& urgent, const std::string& other) {
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
share = 1
{}
[workload.classes.other]
share = 4
{}
)",
                               rate, seed, urgent, other);
}

// Most prompts are short; one in some 25 has 8,000 tokens and more.
std::string long_and_short(int seed, double rate) {
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
std::string programs(int seed) {
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

std::vector<std::string> with(const std::string& scheduler, bool tight, std::vector<std::string> more = {}) {
  more.push_back("policy.scheduler=" + scheduler);
  if (tight) more.push_back(kTight);
  return more;
}

// Calls holds(seed, tight) for each seed, with memory to spare and without.
void on_most_seeds(const std::function<bool(int, bool)>& holds) {
  for (const bool tight : {false, true}) BOOST_TEST_CONTEXT((tight ? "little memory" : "enough memory")) {
      int held = 0;
      preemptions = 0;
      for (int seed = 1; seed <= kSeeds; ++seed) held += holds(seed, tight) ? 1 : 0;
      BOOST_CHECK_GE(held, kHold);
      if (tight) BOOST_CHECK_GT(preemptions, 0u);
    }
}

double mean_latency(const Run& run) {
  return mean(run, [](const auto& end) { return latency_s(end.end); });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(effects)

// FastServe's claim, on the shorter half of the requests, by what they took under fcfs.
BOOST_AUTO_TEST_CASE(mlfq_serves_short_requests_sooner_than_fcfs) {
  on_most_seeds([](int seed, bool tight) {
    const std::string load = code(seed, tight ? 6.1 : 6.5);
    const Run fcfs = run(load, with("fcfs", tight));
    const Run mlfq = run(load, with("{plugin=\"mlfq\",options={quantum_ms=30.0}}", tight));
    std::vector<std::uint64_t> work;
    for (const auto& end : fcfs.sequences) work.push_back(end.end.service_ns);
    std::nth_element(work.begin(), work.begin() + static_cast<long>(work.size() / 2), work.end());
    std::map<std::uint64_t, bool> is_short;
    for (const auto& end : fcfs.sequences) is_short[end.index] = end.end.service_ns <= work[work.size() / 2];
    const auto of_short = [&](const Run& of) {
      return mean(of, [&](const auto& end) { return is_short[end.index] ? latency_s(end.end) : -1; });
    };
    BOOST_TEST_MESSAGE(fmt::format("seed {}, tight {}: short {:.3f} and {:.3f} s, all {:.3f} and {:.3f} s",
                                   seed, tight, of_short(fcfs), of_short(mlfq), mean_latency(fcfs),
                                   mean_latency(mlfq)));
    return of_short(mlfq) < of_short(fcfs);
  });
}

BOOST_AUTO_TEST_CASE(srpt_has_the_least_mean_latency_and_noise_costs_of_it) {
  std::map<double, double> gain;
  on_most_seeds([&](int seed, bool tight) {
    const double rate = tight ? 36 : 40;  // twice what can be served
    const double fcfs = mean_latency(run(mixed(seed, rate, 0), with("fcfs", tight)));
    bool better = false;
    for (const double noise : {0.0, 1.0, 3.0}) {
      const double srpt = mean_latency(run(mixed(seed, rate, noise), with("srpt", tight)));
      if (noise == 0) better = srpt < fcfs;
      gain[noise] += 1 - srpt / fcfs;
    }
    return better;
  });
  BOOST_TEST_MESSAGE(
      fmt::format("mean gains {:.3f}, {:.3f}, {:.3f}", gain[0] / 20, gain[1] / 20, gain[3] / 20));
  BOOST_CHECK_GT(gain[0], gain[1]);
  BOOST_CHECK_GT(gain[1], gain[3]);
}

// Both classes can be served in time; fcfs lets urgent ones wait behind others.
BOOST_AUTO_TEST_CASE(edf_misses_nothing_that_can_be_met) {
  on_most_seeds([](int seed, bool tight) {
    const std::string load = classes(seed, tight ? 23 : 27, "ttft_ms = 400", "ttft_ms = 20000");
    const auto missed = [&](const char* scheduler) {
      const experiment::Goodput& goodput = run(load, with(scheduler, tight)).summary.goodput;
      return goodput.stated - goodput.met;
    };
    const std::uint64_t fcfs = missed("fcfs"), edf = missed("edf");
    BOOST_TEST_MESSAGE(fmt::format("seed {}, tight {}: missed {} and {}", seed, tight, fcfs, edf));
    return edf == 0 && fcfs > 0;
  });
}

// Deadlines that follow lengths: under edf a long prompt, due late, waits for all that are due before it.
BOOST_AUTO_TEST_CASE(lars_does_not_starve_long_prompts_as_edf_does) {
  on_most_seeds([](int seed, bool tight) {
    const std::string load = long_and_short(seed, tight ? 20 : 22);
    const auto in_deadlines = [&](const char* scheduler) {  // first tokens of the long ones
      return mean(run(load, with(scheduler, tight)), [](const auto& end) {
        if (end.end.prompt_tokens < 8000) return -1.0;
        return first_token_s(end.end) / seconds(end.ttft_deadline_ns);
      });
    };
    const double edf = in_deadlines("edf"), lars = in_deadlines("lars");
    BOOST_TEST_MESSAGE(fmt::format("seed {}, tight {}: {:.3f} and {:.3f} deadlines", seed, tight, edf, lars));
    return lars < edf;
  });
}

BOOST_AUTO_TEST_CASE(plas_ends_programs_sooner_than_fcfs) {
  on_most_seeds([](int seed, bool tight) {
    const auto mean_ms = [&](const char* scheduler) {
      return run(programs(seed), with(scheduler, tight, {"engine.max_sequences=16"})).summary.chains->mean_ms;
    };
    const double fcfs = mean_ms("fcfs"),
                 plas = mean_ms("{plugin=\"plas\",options={quantum_ms=300.0,max_wait_ms=120000}}");
    BOOST_TEST_MESSAGE(fmt::format("seed {}, tight {}: {:.0f} and {:.0f} ms", seed, tight, fcfs, plas));
    return plas < fcfs;
  });
}

// A fifth of the requests, at a load that makes the others wait: first tokens come as if the others were refused at once.
BOOST_AUTO_TEST_CASE(priority_keeps_the_high_class_as_if_it_were_alone) {
  on_most_seeds([](int seed, bool tight) {
    const std::string load = classes(seed, 16, "ttft_ms = 1000\npriority = 10", "ttft_ms = 8000");
    const auto p99 = [&](const char* scheduler, std::vector<std::string> sets) {
      sets.push_back("engine.token_budget=256");  // a step is a small part of a prompt
      return of_class("urgent", run(load, with(scheduler, tight, std::move(sets)))).first_token.p99;
    };
    const double alone = p99("priority", {"policy.gates=[\"shed\"]", "workload.classes.other.ttft_ms=0.001"});
    const double among = p99("priority", {}), fcfs = p99("fcfs", {});
    BOOST_TEST_MESSAGE(
        fmt::format("seed {}, tight {}: {:.1f}, {:.1f} and {:.1f} ms", seed, tight, alone, among, fcfs));
    return among <= 1.1 * alone && fcfs > 1.5 * alone;
  });
}

// Twice what can be served, first come, first served: without the gate hardly anybody is served in time.
BOOST_AUTO_TEST_CASE(shed_keeps_the_goodput_of_the_critical_class_under_overload) {
  on_most_seeds([](int seed, bool tight) {
    const std::string load =
        classes(seed, tight ? 50 : 58, "ttft_ms = 1500\npriority = 10", "ttft_ms = 1500");
    const auto goodput = [&](const std::vector<std::string>& sets) {
      return goodput_of("urgent", run(load, with("fcfs", tight, sets)));
    };
    const double open = goodput({});
    const double shed =
        goodput({"policy.gates=[\"shed\"]", "policy.gate.shed.options.order=arrival",
                 "policy.gate.shed.options.deadlines=false", "policy.gate.shed.options.max_wait_ms=500",
                 "policy.gate.shed.options.spare_from=10"});
    BOOST_TEST_MESSAGE(fmt::format("seed {}, tight {}: {:.3f} and {:.3f}", seed, tight, open, shed));
    return shed >= 0.95 && open < 0.8;
  });
}

// A tenant that asks for six times its rate waits by itself; the other is served in time.
BOOST_AUTO_TEST_CASE(token_bucket_keeps_the_goodput_of_tenants_within_their_rate) {
  on_most_seeds([](int seed, bool tight) {
    const std::string load = classes(seed, tight ? 50 : 58, "ttft_ms = 1500\ntenant = \"modest\"",
                                     "ttft_ms = 1500\ntenant = \"greedy\"");
    const auto goodput = [&](const std::vector<std::string>& sets) {
      return goodput_of("urgent", run(load, with("fcfs", tight, sets)));
    };
    const double open = goodput({});
    const double limited =
        goodput({"policy.gates=[\"token-bucket\"]", "policy.gate.token-bucket.options.rate=7000",
                 "tenants.modest.weight=2.0", "tenants.greedy.weight=1.0",
                 "policy.gate.token-bucket.options.burst=60000"});
    BOOST_TEST_MESSAGE(fmt::format("seed {}, tight {}: {:.3f} and {:.3f}", seed, tight, open, limited));
    return limited >= 0.9 && open < 0.8;
  });
}

// At more than can be served nobody waits past the bound; without it some would.
BOOST_AUTO_TEST_CASE(a_bound_on_waiting_holds) {
  for (const char* policy : {"mlfq", "plas"}) BOOST_TEST_CONTEXT(policy) {
      int needed = 0;
      for (const bool tight : {false, true})
        for (int seed = 1; seed <= kSeeds; ++seed) {
          const auto longest_s = [&](int bound_ms) {
            const std::string choice =
                fmt::format("{{plugin=\"{}\",options={{quantum_ms=20.0,max_wait_ms={}}}}}", policy, bound_ms);
            return seconds(
                longest_wait_ns(run(programs(seed), with(choice, tight, {"engine.max_sequences=16"}))));
          };
          BOOST_CHECK_LE(longest_s(15000), 15.0);
          needed += longest_s(0) > 15.0 ? 1 : 0;
        }
      BOOST_CHECK_GE(needed, kSeeds / 2);
    }
}

// What their pages say of them: srpt lets the longest wait, edf those without a deadline, for as long as others come.
BOOST_AUTO_TEST_CASE(who_starves_without_a_bound) {
  on_most_seeds([](int seed, bool tight) {
    const std::string lengths = mixed(seed, tight ? 36 : 40, 0);
    const auto longest = [&](const char* scheduler) {
      return seconds(longest_wait_ns(run(lengths, with(scheduler, tight))));
    };
    const std::string some = classes(seed, tight ? 30 : 35, "ttft_ms = 100000", "priority = 0");
    const auto undated = [&](const char* scheduler) {
      return mean(run(some, with(scheduler, tight)), [](const auto& end) {
        return end.ttft_deadline_ns == SL_NEVER ? first_token_s(end.end) : -1;
      });
    };
    const double srpt = longest("srpt") / longest("fcfs"), edf = undated("edf") / undated("fcfs");
    BOOST_TEST_MESSAGE(fmt::format("seed {}, tight {}: {:.2f} and {:.2f} times", seed, tight, srpt, edf));
    return srpt > 1.4 && edf > 1.1;
  });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
