// Draws are the same on every machine, independent of each other, and of the stated distribution.
#include <algorithm>
#include <array>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <functional>
#include <vector>

#include "experiment/draw.hpp"

namespace serveloop::experiment::test {

namespace {

struct Moments {
  double mean, cv;
};

Moments moments(const std::function<double(std::uint64_t)>& draw) {
  constexpr std::uint64_t kDraws = 200'000;
  double sum = 0, squares = 0;
  for (std::uint64_t i = 0; i < kDraws; ++i) {
    const double x = draw(i);
    sum += x;
    squares += x * x;
  }
  const double mean = sum / kDraws;
  return {mean, std::sqrt(squares / kDraws - mean * mean) / mean};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(draws)

// Values that no compiler, library or machine may change: recorded experiments depend on them.
BOOST_AUTO_TEST_CASE(first_values_are_fixed) {
  const Draws d(42, "gaps");
  const std::array<std::uint64_t, 3> bits = {0xb7c1636e9a522f2u, 0x239d02b909de6306u, 0x4fa91d3f079b4ea8u};
  const std::array<std::array<double, 5>, 3> values = {
      {{0x1.6f82c6dd34a48p-5, 0x1.8d5521b7c3dd8p+1, -0x1.d8d05b18c567ep-2, 0x1.404002d4c40cap-16,
        0x1.812535028a786p+5},
       {0x1.1ce815c84ef32p-3, 0x1.f8f2fbe3d6f06p+0, -0x1.bc047db0f20e8p-3, 0x1.49e2efe613cc5p-9,
        0x1.d8434bbcd0afap+5},
       {0x1.3ea474fc1e6d3p-2, 0x1.2adae09992f07p+0, -0x1.dacf377b49e63p-5, 0x1.5fbcb690127fcp-7,
        0x1.0d84a9c3d672cp+6}}};
  for (std::uint64_t i = 0; i < bits.size(); ++i) {
    BOOST_TEST(d.bits(i) == bits[i]);
    BOOST_TEST(d.uniform(i) == values[i][0]);
    BOOST_TEST(d.exponential(i, 1) == values[i][1]);
    BOOST_TEST(d.normal(i) == values[i][2]);
    BOOST_TEST(d.gamma(i, 1, 2) == values[i][3]);
    BOOST_TEST(d.lognormal(i, 100, 1) == values[i][4]);
  }
}

BOOST_AUTO_TEST_CASE(logarithm_and_exponential_are_close_to_the_library) {
  const Draws d(1, "x");
  for (std::uint64_t i = 0; i < 100'000; ++i) {
    const double x = d.uniform(i) * std::ldexp(1.0, static_cast<int>(i % 200) - 100);
    BOOST_REQUIRE(std::abs(portable_log(x) - std::log(x)) <= 4e-16 * std::max(1e-3, std::abs(std::log(x))));
    const double y = (d.uniform(i) - 0.5) * 1400;
    BOOST_REQUIRE(std::abs(portable_exp(y) - std::exp(y)) <= 4e-16 * std::exp(y));
  }
  BOOST_TEST(portable_log(1) == 0.0);
  BOOST_TEST(portable_exp(0) == 1.0);
  BOOST_TEST(portable_exp(-1000) == 0.0);
  BOOST_TEST(std::isinf(portable_exp(1000)));
}

BOOST_AUTO_TEST_CASE(distributions_have_their_mean_and_spread) {
  const Draws d(7, "moments");
  const auto check = [](const char* what, Moments got, double mean, double cv) {
    BOOST_TEST_CONTEXT(what) {
      BOOST_CHECK_CLOSE(got.mean, mean, 2);
      BOOST_CHECK_CLOSE(got.cv, cv, 4);
    }
  };
  check("exponential", moments([&](auto i) { return d.exponential(i, 3); }), 3, 1);
  check("normal + 1", moments([&](auto i) { return 1 + d.normal(i); }), 1, 1);
  for (const double cv : {0.3, 1.0, 2.5}) {
    check("gamma", moments([&](auto i) { return d.gamma(i, 5, cv); }), 5, cv);
    if (cv <= 1) check("lognormal", moments([&](auto i) { return d.lognormal(i, 512, cv); }), 512, cv);
  }
}

BOOST_AUTO_TEST_CASE(whole_numbers_cover_their_range) {
  const Draws d(7, "range");
  std::array<int, 5> seen{};
  for (std::uint64_t i = 0; i < 50'000; ++i) {
    const std::uint64_t x = d.uniform(i, 3, 7);
    BOOST_REQUIRE((x >= 3 && x <= 7));
    ++seen[x - 3];
  }
  for (const int count : seen) BOOST_TEST(std::abs(count - 10'000) < 500);
  BOOST_TEST(d.uniform(0, 9, 9) == 9u);
  BOOST_TEST(d.uniform(0, 0, UINT64_MAX) == d.bits(0));
}

BOOST_AUTO_TEST_CASE(categories_come_by_weight) {
  const Draws d(7, "weights");
  const std::array<double, 4> weights = {3, 0, 1, 0};
  std::array<int, 4> seen{};
  for (std::uint64_t i = 0; i < 40'000; ++i) ++seen[d.categorical(i, weights)];
  BOOST_TEST(seen[1] + seen[3] == 0);
  BOOST_TEST(std::abs(seen[0] - 30'000) < 500);
}

BOOST_AUTO_TEST_CASE(seeds_and_labels_are_streams_of_their_own) {
  const Draws a(1, "a"), b(1, "b"), c(2, "a");
  int equal = 0;
  double product = 0;
  for (std::uint64_t i = 0; i < 10'000; ++i) {
    equal += a.bits(i) == b.bits(i) || a.bits(i) == c.bits(i) || a.bits(i) == a.bits(i + 1);
    product += (a.uniform(i) - 0.5) * (b.uniform(i) - 0.5);
  }
  BOOST_TEST(equal == 0);
  BOOST_TEST(std::abs(product / 10'000) < 0.003);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::experiment::test
