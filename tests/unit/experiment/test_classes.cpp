// Classes on real traces, deadlines by length, predictions with stated noise.
#include <algorithm>
#include <cmath>
#include <map>

#include "helpers.hpp"

namespace serveloop::experiment::test {

namespace {

std::vector<Issue> issues_of(const config::Workload& config) {
  Workload workload = made(config);
  std::vector<Issue> issues;
  while (workload.peek() != nullptr) issues.push_back(workload.next());
  return issues;
}

config::Workload with_predictions(double noise, double bias = 1, double share = 1) {
  config::Workload config = synthetic_config(20'000);
  config.output = {"fixed", 1000};
  config.predictions = {noise, bias, share};
  return config;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(classes)

BOOST_AUTO_TEST_CASE(each_request_of_a_trace_is_of_one_class_and_carries_what_it_states) {
  config::Workload config = trace_config("azure2023_conv.csv");
  const auto plain = specs_of(config);
  config.tenants = {{"a", 1}, {"b", 1}};
  config.classes["chat"] = {3, 10, {}, {}, 500, {}, 50, {}};
  config.classes["batch"] = {1, -5, "offline", "night", {}, {}, {}, 60'000};
  config.classes["never"] = {0, {}, {}, {}, {}, {}, {}, {}};
  const auto issues = issues_of(config);
  BOOST_REQUIRE_EQUAL(issues.size(), plain.size());
  std::map<std::string, int> counts;
  for (std::size_t i = 0; i < issues.size(); ++i) {
    const requests::RequestSpec& spec = issues[i].spec;
    const std::string& name = issues[i].class_name;
    ++counts[name];
    BOOST_REQUIRE(spec.pieces == plain[i].pieces && spec.arrival_ns == plain[i].arrival_ns);
    if (name == "chat") {
      BOOST_REQUIRE(spec.category == "chat" && *spec.priority == 10 && spec.end_deadline_ns == SL_NEVER);
      BOOST_REQUIRE(spec.ttft_deadline_ns == 500'000'000u && spec.tbt_target_ns == 50'000'000u);
      BOOST_REQUIRE(spec.tenant == "a" || spec.tenant == "b");
    } else {
      BOOST_REQUIRE(spec.category == "offline" && *spec.priority == -5 && spec.tenant == "night");
      BOOST_REQUIRE(spec.ttft_deadline_ns == SL_NEVER && spec.end_deadline_ns == 60'000'000'000u);
    }
  }
  BOOST_TEST(counts.size() == 2u);
  BOOST_CHECK_CLOSE(counts["chat"] / 19'366.0, 0.75, 2);
}

BOOST_AUTO_TEST_CASE(a_deadline_grows_with_the_prompt) {
  config::Workload config = synthetic_config(500);
  config.deadlines.ttft_ms_per_1k_tokens = 200;
  for (const auto& spec : specs_of(config))
    BOOST_REQUIRE_EQUAL(spec.ttft_deadline_ns, spec.prompt_tokens() * 200'000u);
  config.deadlines.ttft_ms = 300;
  for (const auto& spec : specs_of(config))
    BOOST_REQUIRE_EQUAL(spec.ttft_deadline_ns, 300'000'000u + spec.prompt_tokens() * 200'000u);
  config.deadlines = {};
  config.classes["x"] = {1, {}, {}, {}, {}, 50, {}, {}};
  for (const auto& spec : specs_of(config))
    BOOST_REQUIRE_EQUAL(spec.ttft_deadline_ns, spec.prompt_tokens() * 50'000u);
}

BOOST_AUTO_TEST_CASE(predictions_without_noise_are_exact) {
  config::Workload config = trace_config("azure2023_code.csv");
  config.predictions.noise = 0;
  for (const auto& spec : specs_of(config)) {
    BOOST_REQUIRE_EQUAL(spec.predicted_p50, *spec.max_tokens);
    BOOST_REQUIRE_EQUAL(spec.predicted_p99, *spec.max_tokens);
  }
  for (const auto& spec : specs_of(synthetic_config())) BOOST_REQUIRE_EQUAL(spec.predicted_p50, 0u);
}

// Of a lognormal error: the log of predicted over true is normal with mean log(bias) and deviation `noise`, and a share of
// 50, 90 and 99 % of the true lengths is at most the predicted quantile.
BOOST_AUTO_TEST_CASE(predictions_have_the_stated_noise_and_quantiles) {
  double sum = 0, squares = 0;
  int below50 = 0, below90 = 0, below99 = 0;
  const auto specs = specs_of(with_predictions(0.5));
  for (const auto& spec : specs) {
    const double error = std::log(spec.predicted_p50 / 1000.0);
    sum += error;
    squares += error * error;
    below50 += spec.predicted_p50 >= 1000 ? 1 : 0;
    below90 += spec.predicted_p90 >= 1000 ? 1 : 0;
    below99 += spec.predicted_p99 >= 1000 ? 1 : 0;
    BOOST_REQUIRE_LE(std::abs(spec.predicted_p90 - spec.predicted_p50 * 1.8979), 2);  // e^(1.2816 x 0.5)
  }
  const double n = static_cast<double>(specs.size());
  BOOST_CHECK_SMALL(sum / n, 0.015);
  BOOST_CHECK_CLOSE(std::sqrt(squares / n), 0.5, 2);
  BOOST_CHECK_CLOSE(below50 / n, 0.5, 3);
  BOOST_CHECK_CLOSE(below90 / n, 0.9, 1);
  BOOST_CHECK_CLOSE(below99 / n, 0.99, 0.5);
}

BOOST_AUTO_TEST_CASE(predictions_have_bias_and_share_and_move_nothing_else) {
  const auto exact = specs_of(with_predictions(0.25)), biased = specs_of(with_predictions(0.25, 2, 0.3));
  int with = 0;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    BOOST_REQUIRE(exact[i].pieces == biased[i].pieces && exact[i].arrival_ns == biased[i].arrival_ns);
    if (biased[i].predicted_p50 == 0) continue;
    ++with;
    BOOST_REQUIRE_LE(std::abs(biased[i].predicted_p50 - 2.0 * exact[i].predicted_p50), 1.01);
  }
  BOOST_CHECK_CLOSE(with / 20'000.0, 0.3, 5);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::experiment::test
