#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <limits>
#include <numeric>

#include "helpers.hpp"
#include "kernels/token_weight.hpp"

using namespace serveloop::tests;
namespace cpu = serveloop::kernels::cpu;

namespace {

// Coarse values, so that ties abound.
std::vector<float> logits(int n, Random& random) {
  std::vector<float> x(static_cast<std::size_t>(n));
  for (float& v : x) v = std::round(random.normal() * 8.0f) / 4.0f;
  return x;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(sampling)

// Every instruction set gives the weights that token_weight() gives, which a device computes, too.
BOOST_AUTO_TEST_CASE(weights_are_those_of_one_token) {
  using serveloop::kernels::clean_logit;
  using serveloop::kernels::token_weight;
  Random random(22);
  for (const Isa isa : isas())
    for (const int n : {1, 7, 16, 33, 1000, 49152})
      for (const float scale : {0.3f, 1.442695f, 9.0f, 1e30f})
        for (const std::uint64_t least : {std::uint64_t{1}, std::uint64_t{1} << 36, std::uint64_t{1} << 40}) {
          std::vector<float> x(static_cast<std::size_t>(n));
          for (float& v : x) v = random.normal() * 8.0f;
          if (n > 16) x[2] = NAN, x[5] = -INFINITY, x[6] = -0.0f;
          if (n == 33) x[8] = x[31] = INFINITY, x[9] = 3.4028234e38f;  // three equal ones
          float most = -INFINITY;
          for (const float v : x) most = std::max(most, clean_logit(v));
          std::vector<std::int32_t> ids(x.size());
          std::vector<std::uint64_t> weights(x.size());
          const int count =
              cpu::kernels(isa).token_weights(x.data(), n, most, scale, least, ids.data(), weights.data());
          int expected = 0;
          for (int id = 0; id < n; ++id) {
            const std::uint64_t weight = token_weight(clean_logit(x[id]), most, scale);
            if (weight < least) continue;
            BOOST_REQUIRE_LT(expected, count);
            BOOST_TEST((ids[expected] == id && weights[expected] == weight));
            ++expected;
          }
          BOOST_TEST(expected == count);
        }
}

BOOST_AUTO_TEST_CASE(the_largest_and_the_k_largest) {
  Random random(21);
  for (const Isa isa : isas())
    for (const int n : {1, 2, 5, 16, 17, 100, 4097, 49152})
      for (const int k : {1, 2, 7, 50, 1000}) {
        if (k > n) continue;
        std::vector<float> x = logits(n, random);
        if (n > 16) x[3] = NAN, x[11] = -INFINITY, x[n - 1] = x[k % 2 == 0 ? n / 2 : 0] = 9.0f;
        if (n == 100) x[40] = x[70] = INFINITY, x[50] = 3.4028234e38f;  // equal
        std::vector<int> order(x.size());
        std::iota(order.begin(), order.end(), 0);
        const auto key = [&](int i) { return serveloop::kernels::clean_logit(x[i]); };
        std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return key(a) > key(b); });
        BOOST_TEST(cpu::kernels(isa).argmax(x.data(), n) == order[0]);
        std::vector<std::int32_t> ids(static_cast<std::size_t>(k));
        std::vector<float> values(ids.size());
        cpu::kernels(isa).top_k(x.data(), n, k, ids.data(), values.data());
        for (int i = 0; i < k; ++i) BOOST_TEST((ids[i] == order[i] && values[i] == key(order[i])));
      }
}

BOOST_AUTO_TEST_CASE(the_log_of_the_sum) {
  Random random(22);
  for (const Isa isa : isas())
    for (const int n : {1, 3, 31, 4096, 4099, 49152}) {
      const std::vector<float> x = logits(n, random);
      double sum = 0;
      for (const float v : x) sum += std::exp(static_cast<double>(v));
      float max = 0, log_sum = 0;
      cpu::kernels(isa).log_sum_exp(x.data(), n, &max, &log_sum);
      BOOST_TEST(max == *std::max_element(x.begin(), x.end()));
      BOOST_TEST(std::abs(log_sum - std::log(sum)) <= 1e-6 * std::abs(std::log(sum)) + 1e-6);
    }
}

BOOST_AUTO_TEST_CASE(plus_infinity_is_the_largest_number) {
  const float largest = std::numeric_limits<float>::max();
  for (const Isa isa : isas())
    for (const std::size_t count : {1u, 2u, 19u}) {
      std::vector<float> x(19, -1.0f);
      for (std::size_t i = 0; i < count; ++i) x[18 - i] = INFINITY;
      float max = 0, log_sum = 0;
      cpu::kernels(isa).log_sum_exp(x.data(), 19, &max, &log_sum);
      BOOST_TEST((max == largest && log_sum == largest));
      BOOST_TEST(cpu::kernels(isa).argmax(x.data(), 19) == static_cast<int>(19 - count));
    }
}

BOOST_AUTO_TEST_CASE(nothing_but_minus_infinity) {
  for (const Isa isa : isas()) {
    const std::vector<float> x = {-INFINITY, NAN, -INFINITY};
    float max = 0, log_sum = 0;
    cpu::kernels(isa).log_sum_exp(x.data(), 3, &max, &log_sum);
    BOOST_TEST((max == -INFINITY && log_sum == -INFINITY && cpu::kernels(isa).argmax(x.data(), 3) == 0));
  }
}

BOOST_AUTO_TEST_SUITE_END()
