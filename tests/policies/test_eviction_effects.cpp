// What the shipped eviction policies bring in the loop, where some prefixes come again and again among prompts that come once.
#include "effects.hpp"

namespace serveloop::test {

namespace {

// The Azure conversation trace, of which two thirds of the prompts open with one of 40 prefixes, drawn on top.
std::string prefixes(int seed) {
  return kEngine + fmt::format(R"(
[workload]
trace = "data/traces/azure2023_conv.csv"
format = "azure"
window = [{}, {}]
rate_scale = 1.2
shared_prefix = {{ groups = 40, tokens = 512, share = 0.7 }}
seed = {}
)",
                               300 * (seed - 1), 300 * seed, seed);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(eviction)

// They keep what was hit, and lru what was used last. With memory to spare nobody evicts, and all are one.
BOOST_AUTO_TEST_CASE(who_keeps_what_was_hit_hits_more_than_lru) {
  for (const char* policy : {"slru", "lfu", "sieve", "s3fifo", "arc", "gdsf"}) BOOST_TEST_CONTEXT(policy)
  on_most_seeds([&](int seed, bool tight) {
    const auto ran = [&](const char* eviction) {
      return run(prefixes(seed), {std::string("policy.eviction=") + eviction,
                                  tight ? "engine.kv_blocks=3000" : "engine.kv_blocks=200000"});
    };
    const Run lru = ran("lru"), other = ran(policy);
    BOOST_TEST_MESSAGE(fmt::format("{}, seed {}, tight {}: hit rate {:.3f} and {:.3f}, evicted {} and {}",
                                   policy, seed, tight, hit_rate(lru), hit_rate(other),
                                   lru.summary.counters.evicted_blocks,
                                   other.summary.counters.evicted_blocks));
    if (!tight) return hit_rate(other) == hit_rate(lru) && lru.summary.counters.evicted_blocks == 0;
    return hit_rate(other) > hit_rate(lru) && other.summary.counters.evicted_blocks > 0;
  });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
