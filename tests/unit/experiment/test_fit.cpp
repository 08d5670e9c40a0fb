// The fit finds the coefficients that made the steps, through noise and steps that were held up, and says where steps
// cannot tell.
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <vector>

#include "costs.hpp"
#include "experiment/draw.hpp"
#include "experiment/fit.hpp"

namespace serveloop::experiment::test {

namespace {

MeasuredStep step_of(const sl_cost& cost, std::uint32_t decodes, std::uint32_t context, std::uint32_t tokens,
                     std::uint32_t start) {
  MeasuredStep s;
  s.decodes = decodes;
  s.decode_context = std::uint64_t{decodes} * context;
  s.prefill_tokens = tokens;
  s.prefill_pairs = sl_chunk_pairs(start, tokens);
  s.ns = static_cast<std::uint64_t>(
      sl_predict_step_ns(&cost, s.decodes, s.decode_context, s.prefill_tokens, s.prefill_pairs));
  return s;
}

// From a single decode, some 5 ms, to chunks that take 500 times as long.
std::vector<MeasuredStep> steps_of(const sl_cost& cost) {
  std::vector<MeasuredStep> steps;
  for (const std::uint32_t decodes : {0, 1, 3, 8, 16, 64})
    for (const std::uint32_t context : {20, 400, 6000})
      for (const std::uint32_t tokens : {0, 16, 250, 2048})
        for (const std::uint32_t start : {0, 1500}) {
          if (decodes + tokens == 0 || (decodes == 0 && context > 20) || (tokens == 0 && start > 0)) continue;
          steps.push_back(step_of(cost, decodes, context, tokens, start));
          steps.back().group = static_cast<std::uint32_t>(steps.size());
        }
  return steps;
}

// Noise of some percent on each, and every seventh step held up to three times its time and more.
std::vector<MeasuredStep> disturbed(std::vector<MeasuredStep> steps, double noise, bool held_up) {
  const Draws draws(7, "noise");
  for (std::size_t i = 0; i < steps.size(); ++i) {
    double factor = 1 + noise * draws.normal(i);
    if (held_up && i % 7 == 3) factor *= 3 + draws.exponential(i, 2);
    steps[i].ns = static_cast<std::uint64_t>(static_cast<double>(steps[i].ns) * factor);
  }
  return steps;
}

CostFit fitted(const std::vector<MeasuredStep>& steps) {
  const Result<CostFit> fit = fit_cost(steps);
  BOOST_REQUIRE_MESSAGE(fit.has_value(), (fit ? "" : fit.error().message()));
  return *fit;
}

void check_refused(const std::vector<MeasuredStep>& steps, const std::string& what, const std::string& part) {
  const Result<CostFit> fit = fit_cost(steps);
  BOOST_REQUIRE(!fit);
  const std::string message = fit.error().message();
  BOOST_TEST(message.starts_with("calibration: " + what), message);
  BOOST_TEST(message.find(part) != std::string::npos, message);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cost_fit)

BOOST_AUTO_TEST_CASE(exact_steps_give_exact_coefficients) {
  const CostFit fit = fitted(steps_of(some_cost()));
  check_cost(fit.cost, some_cost(), 1e-4);
  BOOST_TEST(fit.all.p95 < 1e-6);
}

BOOST_AUTO_TEST_CASE(noise_and_steps_that_were_held_up) {
  for (const bool held_up : {false, true}) {
    const CostFit fit = fitted(disturbed(steps_of(some_cost()), 0.02, held_up));
    check_cost(fit.cost, some_cost(), 0.04);
    BOOST_TEST(fit.all.median < 0.025);
    BOOST_TEST((fit.all.p95 > 0.5) == held_up);  // they are among the residuals
  }
}

// Reading the weights hides most of a small step's arithmetic, a large step's arithmetic most of the reading.
BOOST_AUTO_TEST_CASE(an_overlap_is_found) {
  const CostFit exact = fitted(steps_of(overlapping_cost()));
  check_cost(exact.cost, overlapping_cost(), 1e-4);
  BOOST_TEST(exact.cost.overlap == 0.73);
  BOOST_TEST(exact.all.p95 < 1e-6);
  const CostFit noisy = fitted(disturbed(steps_of(overlapping_cost()), 0.02, true));
  BOOST_TEST(std::abs(noisy.cost.overlap - 0.73) < 0.06);
  BOOST_TEST(noisy.all.median < 0.025);
}

// Arithmetic that never takes as long as reading the weights: any overlap gives these steps with other costs of a token.
BOOST_AUTO_TEST_CASE(an_overlap_that_nothing_tells_is_none) {
  sl_cost cost = some_cost();
  cost.step_fixed_ns = 5e9;
  const CostFit fit = fitted(disturbed(steps_of(cost), 0.001, false));
  BOOST_TEST(fit.cost.overlap == 0.0);
  BOOST_TEST(fit.cost.decode_token_ns == 0.0);
}

// One size of chunk: what a chunk costs as such is not to be told from what its tokens cost.
BOOST_AUTO_TEST_CASE(a_step_of_prefill_costs_nothing_as_such_where_nothing_tells) {
  std::vector<MeasuredStep> steps;
  for (const std::uint32_t decodes : {0, 1, 3, 8, 16})
    for (const std::uint32_t context : {20, 400})
      for (const std::uint32_t tokens : {0, 250})
        for (const std::uint32_t start : {0, 1500, 3000})
          if (decodes + tokens > 0 && (decodes > 0 || context == 20))
            steps.push_back(step_of(some_cost(), decodes, context, tokens, start));
  const CostFit fit = fitted(steps);
  check_cost(fit.cost, some_cost(), 1e-4);
  BOOST_TEST(fit.cost.prefill_step_ns == 0.0);
}

// A least square of absolute errors would leave a short step's time to the noise of long ones: 2 % of 2 s.
BOOST_AUTO_TEST_CASE(a_short_step_counts_as_much_as_a_long_one) {
  const CostFit fit = fitted(disturbed(steps_of(some_cost()), 0.02, false));
  const MeasuredStep shortest = step_of(some_cost(), 1, 20, 0, 0);
  const double model = sl_predict_step_ns(&fit.cost, 1, 20, 0, 0);
  BOOST_TEST(model == static_cast<double>(shortest.ns), boost::test_tools::tolerance(0.02));
}

// Steps that shrink with their context ask for a negative coefficient. The others must make up for it.
BOOST_AUTO_TEST_CASE(no_coefficient_is_negative) {
  sl_cost cost = some_cost();
  cost.decode_context_ns = -5;
  cost.prefill_context_ns = -2;
  const CostFit fit = fitted(steps_of(cost));
  BOOST_TEST(fit.cost.decode_context_ns == 0.0);
  BOOST_TEST(fit.cost.prefill_context_ns == 0.0);
  BOOST_TEST(fit.cost.step_fixed_ns == cost.step_fixed_ns, boost::test_tools::tolerance(0.05));
  BOOST_TEST(fit.cost.decode_sequence_ns > 0.0);
  BOOST_TEST(fit.all.p95 < 0.1);
}

BOOST_AUTO_TEST_CASE(residuals_are_told_by_kind) {
  const sl_cost cost = some_cost();
  std::vector<MeasuredStep> steps = steps_of(cost);
  for (MeasuredStep& s : steps)
    if (s.kind() == StepKind::decode) s.ns = s.ns * 100 / 125;  // the model says 25 % too much
  const CostFit of = residuals_of(cost, steps);
  const auto [decode, prefill, mixed] = of.by_kind;
  BOOST_TEST(decode.steps == 15u);
  BOOST_TEST(prefill.steps == 6u);
  BOOST_TEST(mixed.steps == 90u);
  BOOST_TEST(of.all.steps == steps.size());
  BOOST_TEST(decode.bias == 0.25, boost::test_tools::tolerance(1e-4));
  BOOST_TEST(decode.median == 0.25, boost::test_tools::tolerance(1e-4));
  BOOST_TEST(prefill.p95 < 1e-6);
  BOOST_TEST(mixed.p95 < 1e-6);
}

// Four steps of equal work: 100, 110, 120 and 400. The third is the median; the middle distance is that of the second
// or of the first.
BOOST_AUTO_TEST_CASE(the_spread_is_that_of_equal_steps) {
  std::vector<MeasuredStep> steps(4, step_of(some_cost(), 1, 20, 0, 0));
  const std::uint64_t times[] = {100, 110, 120, 400};
  for (std::size_t i = 0; i < 4; ++i) steps[i].ns = times[i];
  const auto spread = [&] { return residuals_of(some_cost(), steps).all.spread; };
  BOOST_TEST(spread().value_or(-1) == 1 - 100.0 / 120, boost::test_tools::tolerance(1e-9));
  for (std::uint32_t i = 0; i < 4; ++i) steps[i].group = i;  // no two are of equal work
  BOOST_TEST(!spread().has_value());
}

BOOST_AUTO_TEST_CASE(steps_that_cannot_tell) {
  const std::vector<MeasuredStep> steps = steps_of(some_cost());
  check_refused({}, "steps", "found 0");
  check_refused({steps.begin(), steps.begin() + 19}, "steps", "expected at least 20, found 19");

  std::vector<MeasuredStep> some;
  for (int i = 0; i < 40; ++i) some.push_back(step_of(some_cost(), 4, 30, 0, 0));
  check_refused(some, "decode_sequence_us", "tell it from the coefficients before it");
  some.clear();
  for (std::uint32_t i = 1; i < 40; ++i) some.push_back(step_of(some_cost(), i, 100, 0, 0));
  check_refused(some, "decode_context_ns", "tell it from");  // one context for all
  some.clear();
  for (std::uint32_t i = 1; i < 40; ++i) some.push_back(step_of(some_cost(), i, 100 + i * i, 0, 0));
  check_refused(some, "prefill_token_us", "depend on it");  // no prefill
  some = steps;
  some[30].ns = 0;
  check_refused(some, "step 30", "found 0 ns");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::experiment::test
