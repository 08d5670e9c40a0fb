// Who has a bound on waiting keeps it at 1.2 times what can be served; of the others, who starves, as their pages say.
#include "effects.hpp"

namespace serveloop::test {

namespace {

// The longest that anybody saw nothing: before its first step, or between two tokens, where a wait after it yielded lies.
double longest_silence_s(const Run& run) {
  std::uint64_t longest = longest_wait_ns(run);
  for (const engine::Finished& end : run.ends) longest = std::max(longest, end.longest_gap_ns);
  return seconds(longest);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(waiting)

// The bound is twice the longest wait under fcfs: the machine is not fast enough for one that is much shorter. It holds also of the time
// between two tokens, in which one that yielded waits and is computed again.
BOOST_AUTO_TEST_CASE(a_bound_holds_at_more_than_can_be_served) {
  for (const auto& [policy, quantum_ms] : {std::pair("mlfq", "20.0"), {"plas", "60.0"}})
    BOOST_TEST_CONTEXT(policy)
  on_most_seeds([&](int seed, bool tight) {
    const std::string load = mixed(seed, 1, 0), rate = at_rate(1.2 * capacity_per_s(load, tight));
    const auto ran = [&](const std::string& choice) { return run(load, with(choice, tight, {rate})); };
    const double bound = 2 * longest_silence_s(ran("fcfs"));
    const auto with_bound = [&](double bound_s) {
      return ran(fmt::format("{{plugin=\"{}\",options={{quantum_ms={},max_wait_ms={}}}}}", policy, quantum_ms,
                             static_cast<int>(1000 * bound_s)));
    };
    const Run bounded = with_bound(bound);
    const double unbounded = longest_silence_s(with_bound(0));
    BOOST_TEST_MESSAGE(fmt::format("{}, seed {}, tight {}: bound {:.1f} s, with it {:.1f}, without {:.1f}",
                                   policy, seed, tight, bound, longest_silence_s(bounded), unbounded));
    BOOST_CHECK_LE(longest_silence_s(bounded), bound);
    return unbounded > bound;
  });
}

// Programs follow each other's ends: no more than so many calls are there at once.
BOOST_AUTO_TEST_CASE(a_bound_holds_for_the_calls_of_programs) {
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

BOOST_AUTO_TEST_CASE(srpt_lets_the_longest_wait) {
  on_most_seeds([](int seed, bool tight) {
    const std::string load = mixed(seed, 1, 0), rate = at_rate(1.2 * capacity_per_s(load, tight));
    const auto longest = [&](const char* scheduler) {
      return longest_silence_s(run(load, with(scheduler, tight, {rate})));
    };
    const double srpt = longest("srpt"), fcfs = longest("fcfs");
    BOOST_TEST_MESSAGE(fmt::format("seed {}, tight {}: {:.1f} and {:.1f} s", seed, tight, srpt, fcfs));
    return srpt > 2 * fcfs;
  });
}

// Four fifths have deadlines, and are by themselves nearly what can be served.
BOOST_AUTO_TEST_CASE(edf_lets_those_without_a_deadline_wait_for_as_long_as_others_come) {
  on_most_seeds([](int seed, bool tight) {
    const std::string load = classes(seed, 1, "ttft_ms = 100000", "priority = 0", 4, 1),
                      rate = at_rate(1.2 * capacity_per_s(load, tight));
    const auto undated = [&](const char* scheduler) {
      return mean(run(load, with(scheduler, tight, {rate})), [](const auto& end) {
        return end.stated.ttft_deadline_ns == SL_NEVER ? first_token_s(end.end) : -1;
      });
    };
    const double edf = undated("edf"), fcfs = undated("fcfs");
    BOOST_TEST_MESSAGE(fmt::format("seed {}, tight {}: {:.1f} and {:.1f} s", seed, tight, edf, fcfs));
    return edf > 2 * fcfs;
  });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
