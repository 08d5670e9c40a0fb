// What papers say that their schedulers and gates bring, on workloads of their kind.
#include "effects.hpp"

namespace serveloop::test {

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
    for (const auto& end : fcfs.sequences)
      is_short[end.identity] = end.end.service_ns <= work[work.size() / 2];
    const auto of_short = [&](const Run& of) {
      return mean(of, [&](const auto& end) { return is_short[end.identity] ? latency_s(end.end) : -1; });
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

// Deadlines that follow lengths: under edf a long prompt, due late, waits for all that are due before it. Under lars it begins sooner, and
// all of them come in time.
BOOST_AUTO_TEST_CASE(lars_does_not_starve_long_prompts_as_edf_does) {
  on_most_seeds(
      [](int seed, bool tight) {
        const std::string load = long_and_short(seed, tight ? 20 : 22);
        const auto of_long = [&](const char* scheduler) {  // first tokens in deadlines: the mean, the latest
          double sum = 0, count = 0, latest = 0;
          for (const auto& end : run(load, with(scheduler, tight)).sequences) {
            if (end.end.prompt_tokens < 8000) continue;
            const double at = first_token_s(end.end) / seconds(end.stated.ttft_deadline_ns);
            sum += at, ++count, latest = std::max(latest, at);
          }
          return std::pair(sum / count, latest);
        };
        const auto edf = of_long("edf"), lars = of_long("lars");
        BOOST_TEST_MESSAGE(
            fmt::format("seed {}, tight {}: edf {:.3f} and {:.3f}, lars {:.3f} and {:.3f} deadlines", seed,
                        tight, edf.first, edf.second, lars.first, lars.second));
        return lars.first < edf.first && lars.second < 1;
      },
      false);
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

// Long prompts in a pool for some thirty of them: were newcomers to take memory from who ranks below them, most of the time would go
// into what is computed again (mlfq without `room_first`: 182 M tokens beside 24 M, in 5.7 times as long).
BOOST_AUTO_TEST_CASE(no_order_makes_others_compute_again_for_a_newcomer) {
  for (const char* policy : {"srpt", "edf", "lars", "mlfq", "plas"}) BOOST_TEST_CONTEXT(policy)
  for (int stretch = 0; stretch < 3; ++stretch) {
    const auto ran = [&](const char* scheduler) {
      return run_policy(
                 kEngine + fmt::format(R"(
[workload]
trace = "data/traces/mooncake_conversation_trace.jsonl"
window = [{}, {}]
rate_scale = 0.3
)",
                                       600 * stretch, 600 * stretch + 600),
                 {"engine.token_budget=8192", "engine.max_sequences=128", "engine.context_tokens=131072",
                  "engine.kv_blocks=24000", std::string("policy.scheduler=") + scheduler})
          .summary;
    };
    const experiment::Summary fcfs = ran("fcfs"), other = ran(policy);
    const engine::Counters& c = other.counters;
    BOOST_TEST_MESSAGE(fmt::format("{}, stretch {}: recomputed {} of {} tokens, {:.0f} s; fcfs {:.0f} s",
                                   policy, stretch, c.recomputed_tokens, c.computed_tokens, other.seconds,
                                   fcfs.seconds));
    BOOST_CHECK_LE(c.recomputed_tokens, c.computed_tokens / 20);
    BOOST_CHECK_LE(other.seconds, 1.05 * fcfs.seconds);
  }
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

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
