// Student's t, block lengths, blocks of time and weighed samples, each against what is known of it.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "experiment/ab/block_length.hpp"
#include "experiment/ab/sample.hpp"
#include "experiment/ab/student.hpp"
#include "experiment/ab/timeline.hpp"
#include "helpers.hpp"

namespace serveloop::experiment::ab::test {

BOOST_AUTO_TEST_SUITE(statistics)

// Printed tables of the distribution.
BOOST_AUTO_TEST_CASE(students_t_is_that_of_the_tables) {
  const struct {
    double confidence;
    unsigned freedom;
    double t;
  } rows[] = {{0.95, 1, 12.7062}, {0.95, 2, 4.3027},  {0.95, 3, 3.1824},   {0.95, 4, 2.7764},
              {0.95, 9, 2.2622},  {0.95, 30, 2.0423}, {0.95, 120, 1.9799}, {0.99, 5, 4.0321},
              {0.90, 10, 1.8125}, {0.999, 7, 5.4079}};
  for (const auto& row : rows) BOOST_CHECK_CLOSE(student_t(row.confidence, row.freedom), row.t, 0.01);
  BOOST_CHECK_CLOSE(normal_tail(1.959964), 0.025, 0.001);
  BOOST_CHECK_CLOSE(normal_tail(-1.281552), 0.9, 0.001);
}

BOOST_AUTO_TEST_CASE(blocks_are_as_long_as_the_correlation_asks) {
  // What the formula gives where the autocorrelation is known: (3/2 (2 m / (1 - m^2))^2 n)^(1/3) for a memory m.
  constexpr std::size_t kSteps = 4096;
  for (const double memory : {0.5, 0.8, 0.9}) {
    const double slope = 2 * memory / (1 - memory * memory);
    const double known = std::cbrt(1.5 * slope * slope * kSteps);
    double sum = 0;
    for (std::uint64_t seed = 1; seed <= 20; ++seed)
      sum += block_length({autoregression(seed, "x", kSteps, memory)});
    BOOST_TEST_CONTEXT("memory " << memory << ", known " << known << ", found " << sum / 20)
    BOOST_TEST(std::abs(sum / 20 - known) < 0.25 * known);
  }
  double noise = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed)
    noise += block_length({autoregression(seed, "x", kSteps, 0)});
  BOOST_TEST(noise / 20 < 5);
  BOOST_TEST(block_length({std::vector<double>(100, 3.5)}) == 0);
  BOOST_TEST(block_length({{1, 2}}) == 0);
}

BOOST_AUTO_TEST_CASE(a_resample_is_as_long_as_its_runs_and_made_of_blocks) {
  const std::vector<double> spans = {9.5, 4.2};
  const Timeline timeline(spans, 0.1, 7);
  BOOST_TEST(timeline.bins() == 95u + 42u);
  BOOST_TEST(timeline.blocks() == 13u + 6u);
  BOOST_TEST(timeline.fewest_blocks() == 6u);
  BOOST_TEST(timeline.bin_at(1, 4.2) == 136u);
  BOOST_TEST(timeline.bin_at(1, 0.15) == 96u);
  std::vector<std::uint32_t> weights(timeline.bins()), again(timeline.bins());
  std::vector<double> sums(timeline.bins());
  constexpr std::uint64_t kResamples = 4000;
  for (std::uint64_t k = 0; k < kResamples; ++k) {
    timeline.draw(k, weights);
    BOOST_REQUIRE(std::accumulate(weights.begin(), weights.begin() + 95, 0u) == 95u);
    BOOST_REQUIRE(std::accumulate(weights.begin() + 95, weights.end(), 0u) == 42u);
    // 14 blocks begin and end; so round the circle the number changes at 28 places at most. Bins by themselves would
    // change at most of the 95.
    std::size_t changes = 0;
    for (std::size_t i = 0; i < 95; ++i) changes += weights[i] != weights[(i + 1) % 95];
    BOOST_REQUIRE(changes <= 28u);
    for (std::size_t i = 0; i < weights.size(); ++i) sums[i] += weights[i];
  }
  for (const double sum : sums) BOOST_TEST(std::abs(sum / kResamples - 1) < 0.08);  // each bin is as likely
  timeline.draw(17, weights);
  timeline.draw(17, again);
  BOOST_TEST(weights == again);
}

BOOST_AUTO_TEST_CASE(weights_count_as_copies) {
  Sample sample(4), copies(1);
  const Draws draws(3, "values");
  const std::vector<std::uint32_t> weights = {2, 0, 1, 3}, one = {1};
  for (std::uint64_t i = 0; i < 200; ++i) {
    const auto bin = static_cast<std::uint32_t>(i % 4);
    const double amount = draws.exponential(i, 10), whole = draws.uniform(i);
    sample.add(bin, amount, whole);
    for (std::uint32_t copy = 0; copy < weights[bin]; ++copy) copies.add(0, amount, whole);
  }
  BOOST_CHECK_CLOSE(sample.mean(weights), copies.mean(one), 1e-9);
  const std::vector<double> percents = {50, 90, 99};
  std::vector<double> a(3), b(3);
  sample.percentiles(weights, percents, a);
  copies.percentiles(one, percents, b);
  BOOST_TEST(a == b);
  const std::vector<std::uint32_t> nothing(4);
  sample.percentiles(nothing, percents, a);
  BOOST_TEST(std::isnan(a[0]));
  BOOST_TEST(std::isnan(sample.mean(nothing)));
}

// Like the percentiles of the other tables: the value at rank ceil(p n).
BOOST_AUTO_TEST_CASE(percentiles_are_those_of_simulate) {
  std::vector<std::uint64_t> ns;
  Sample sample(1);
  for (std::uint64_t i = 1; i <= 137; ++i)
    ns.push_back(i * i * 1'000'000), sample.add(0, static_cast<double>(i * i));
  const Percentiles known = percentiles(ns);
  const std::vector<double> percents = {50, 90, 99};
  std::vector<double> found(3);
  sample.percentiles(std::vector<std::uint32_t>{1}, percents, found);
  BOOST_CHECK_CLOSE(found[0], known.p50, 1e-9);
  BOOST_CHECK_CLOSE(found[1], known.p90, 1e-9);
  BOOST_CHECK_CLOSE(found[2], known.p99, 1e-9);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::experiment::ab::test
