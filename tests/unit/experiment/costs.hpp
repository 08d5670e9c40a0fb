// The costs of a made-up device, and two costs compared: what the tests of calibrations share.
#pragma once

#include <serveloop/cost.h>

#include <boost/test/unit_test.hpp>
#include <cmath>

namespace serveloop::experiment::test {

inline sl_cost some_cost() {
  sl_cost cost{};
  cost.struct_size = sizeof cost;
  cost.step_fixed_ns = 4.2e6;
  cost.decode_sequence_ns = 9.1e5;
  cost.decode_context_ns = 870;
  cost.prefill_token_ns = 8.3e5;
  cost.prefill_context_ns = 310;
  return cost;
}

// One that hides most of the shorter of reading weights and arithmetic, and pays for prefill as such.
inline sl_cost overlapping_cost() {
  sl_cost cost = some_cost();
  cost.decode_sequence_ns = 8e4;
  cost.decode_token_ns = cost.prefill_token_ns;
  cost.prefill_step_ns = 1.3e6;
  cost.overlap = 0.73;
  return cost;
}

inline void check_cost(const sl_cost& found, const sl_cost& expected, double tolerance) {
  const auto close = boost::test_tools::tolerance(tolerance);
  BOOST_TEST(found.struct_size == sizeof found);
  BOOST_TEST(found.step_fixed_ns == expected.step_fixed_ns, close);
  BOOST_TEST(found.decode_sequence_ns == expected.decode_sequence_ns, close);
  BOOST_TEST(found.decode_context_ns == expected.decode_context_ns, close);
  BOOST_TEST(found.prefill_token_ns == expected.prefill_token_ns, close);
  BOOST_TEST(found.prefill_context_ns == expected.prefill_context_ns, close);
  BOOST_TEST(found.decode_token_ns == expected.decode_token_ns, close);
  // Small beside the rest.
  BOOST_TEST(std::abs(found.prefill_step_ns - expected.prefill_step_ns) <=
             tolerance * 2 * expected.step_fixed_ns);
  BOOST_TEST(std::abs(found.overlap - expected.overlap) <= 0.01 + 2 * tolerance);
}

}  // namespace serveloop::experiment::test
