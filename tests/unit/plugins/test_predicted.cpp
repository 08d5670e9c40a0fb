// Admission by predicted memory: the predictions against sorted lists of all lengths, and what memory-aware makes of them.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <random>
#include <serveloop/cpp/predicted_admission.hpp>

#include "tables.hpp"

namespace serveloop::test {

namespace {

struct Grower {
  std::uint32_t remaining, tokens;
};

// The sum at each end, of all that end there or later.
double exact_peak(const std::vector<Grower>& all, double share, double spare) {
  double peak = 0;
  for (const Grower& end : all) {
    double sum = 0;
    for (const Grower& g : all)
      if (g.remaining >= end.remaining) sum += share * g.tokens + end.remaining + spare;
    peak = std::max(peak, sum);
  }
  return peak;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(predicted)

BOOST_AUTO_TEST_CASE(a_bucket_holds_lengths_within_a_thirtysecond) {
  std::uint32_t last = 0;
  for (std::uint64_t tokens = 0; tokens <= UINT32_MAX; tokens += 1 + tokens / 1000) {
    const auto length = static_cast<std::uint32_t>(tokens);
    const std::uint32_t bucket = sl::length_bucket(length);
    BOOST_REQUIRE(bucket < sl::kLengthBuckets);
    BOOST_REQUIRE(bucket == last || bucket == last + 1);
    last = bucket;
    const double longest = sl::longest_of_bucket(bucket);
    BOOST_REQUIRE(longest >= length && longest <= length * (1 + 1.0 / 32));
    BOOST_REQUIRE(sl::length_bucket(sl::longest_of_bucket(bucket)) == bucket);
  }
  BOOST_TEST(last + 1 == sl::kLengthBuckets);
}

BOOST_AUTO_TEST_CASE(quantiles_are_of_the_last_outputs_that_were_longer) {
  std::mt19937 draw(3);
  for (const std::uint32_t most : {1u, 10u, 500u}) {
    sl::OutputLengths lengths(most);
    BOOST_TEST(lengths.empty());
    std::vector<std::uint32_t> all;
    for (int i = 0; i < 2000; ++i) {
      all.push_back(static_cast<std::uint32_t>(std::lognormal_distribution<>(5, 1.5)(draw)));
      lengths.add(all.back());
      const std::uint32_t beyond = draw() % 600;
      const double quantile = std::uniform_real_distribution<>()(draw);
      std::vector<std::uint32_t> longer;
      for (std::size_t j = all.size() - std::min<std::size_t>(all.size(), most); j < all.size(); ++j)
        if (sl::length_bucket(all[j]) > sl::length_bucket(beyond)) longer.push_back(all[j]);
      std::sort(longer.begin(), longer.end());
      const std::uint32_t expected =
          longer.empty()
              ? 0
              : sl::longest_of_bucket(sl::length_bucket(
                    longer[static_cast<std::size_t>(quantile * static_cast<double>(longer.size()))]));
      BOOST_REQUIRE_EQUAL(lengths.longer_than(beyond, quantile), expected);
    }
  }
}

BOOST_AUTO_TEST_CASE(the_peak_is_that_of_all_ends_up_to_a_thirtysecond) {
  std::mt19937 draw(4);
  sl::FutureMemory future;
  for (int i = 0; i < 500; ++i) {
    const double share = i % 3 == 0 ? 0.4 : 1.0;
    const double spare = i % 2 == 0 ? 7.5 : 0;
    future.clear(share);
    std::vector<Grower> all;
    for (std::uint32_t n = draw() % 60; n > 0; --n) {
      all.push_back({static_cast<std::uint32_t>(draw() % (i % 5 == 0 ? 40 : 3000)),
                     1 + static_cast<std::uint32_t>(draw() % 4000)});
      future.add(all.back().remaining, all.back().tokens);
    }
    future.add(9999, 10000);  // who came and went
    future.remove(9999, 10000);
    const double exact = exact_peak(all, share, spare), found = future.peak(spare);
    BOOST_REQUIRE(found >= exact * (1 - 1e-12) && found <= exact * (1 + 1.0 / 32) + 1e-9);
  }
}

// 100 blocks of 16 tokens, of which 90 may be predicted.
struct Small {
  policy::Host host = build_host();
  Tables tables{limits(100)};
  std::shared_ptr<policy::Scheduler> scheduler =
      need(host.load_scheduler({"memory-aware", toml::Table{{"watermark", 0.1}}}, limits(100)));

  // One that runs, has `prompt` tokens and states that it will put out `output`.
  void runs(std::uint32_t prompt, std::uint32_t output) {
    sl_seq_row& row = tables.add(SL_RUNNING, prompt, output);
    row.computed = prompt;
    row.tokens_left = output - 1;
    row.generated = 1;
    row.blocks_device = (prompt + 15) / 16;
    tables.requests.back().predicted_p90 = output;
  }
  sl_seq waits(std::uint32_t prompt, std::uint32_t output) {
    const sl_seq id = tables.add(SL_WAITING, prompt, output).id;
    tables.requests.back().predicted_p90 = output;
    tables.event(SL_EV_READY, id);
    return id;
  }
  std::vector<sl_seq> admitted() {
    std::uint32_t held = 0;
    for (const sl_seq_row& row : tables.seqs) held += row.state == SL_RUNNING ? row.blocks_device : 0;
    tables.raw().tier[SL_TIER_DEVICE].free = 100 - held;
    std::vector<sl_seq> ids;
    for (const sl_entry& entry : plan_of(*scheduler, tables))
      if (entry.verb == SL_ADMIT) ids.push_back(entry.seq);
    return ids;
  }
};

BOOST_AUTO_TEST_CASE(who_would_make_the_pool_overflow_later_waits) {
  Small now;  // 31 + 31 blocks now, 80 at the end: 10 are left
  now.runs(496, 144);
  now.runs(496, 144);
  const sl_seq fits = now.waits(64, 64);
  now.waits(64, 200);
  BOOST_TEST(now.admitted() == std::vector<sl_seq>{fits});
}

// The same lengths, but those who run end before the newcomer has grown.
BOOST_AUTO_TEST_CASE(who_grows_after_others_ended_enters) {
  Small now;
  now.runs(496, 10);
  now.runs(496, 10);
  const sl_seq later = now.waits(64, 800);
  BOOST_TEST(now.admitted() == std::vector<sl_seq>{later});
}

BOOST_AUTO_TEST_CASE(where_nothing_runs_the_first_enters) {
  Small now;
  const sl_seq first = now.waits(100, 1450);
  now.waits(100, 1450);
  BOOST_TEST(now.admitted() == std::vector<sl_seq>{first});
}

// Nothing that the answer depends on has changed: it is not asked for again. An end is such a change.
BOOST_AUTO_TEST_CASE(who_waits_is_looked_at_again_after_an_end) {
  Small now;
  now.runs(496, 144);
  now.runs(496, 144);
  const sl_seq waiting = now.waits(200, 200);
  BOOST_TEST(now.admitted().empty());
  BOOST_TEST(now.admitted().empty());
  now.tables.seqs[0].state = SL_ENDED;
  now.tables.event(SL_EV_ENDED, now.tables.id(0), SL_FINISH_LENGTH);
  BOOST_TEST(now.admitted() == std::vector<sl_seq>{waiting});
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
