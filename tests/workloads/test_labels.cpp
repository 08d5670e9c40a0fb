// Results by class and tenant, and which deadlines were met.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "experiment/by_label.hpp"
#include "runs.hpp"

namespace serveloop::test {
namespace {

using experiment::LabelFigures;
using experiment::Summary;

const LabelFigures& figures(const std::vector<LabelFigures>& all, const std::string& label) {
  const auto found = std::find_if(all.begin(), all.end(), [&](const auto& f) { return f.label == label; });
  BOOST_REQUIRE_MESSAGE(found != all.end(), "no figures of '" << label << "'");
  return *found;
}

config::Config loaded(const TempFolder& folder) {
  config::Config config = simulated_config(folder);
  config.workload.source = "synthetic";
  config.workload.rate_per_second = 20;
  config.workload.requests = 300;
  config.workload.prompt = {"uniform", 0, 1, 10, 400};
  config.workload.output = {"uniform", 0, 1, 5, 60};
  return config;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(labels)

BOOST_AUTO_TEST_CASE(nothing_to_tell_apart_is_not_told) {
  const TempFolder folder;
  const Summary summary = run_of(loaded(folder));
  BOOST_TEST((summary.classes.empty() && summary.tenants.empty()));
  BOOST_TEST(summary.goodput.stated == 0u);
  const std::string table = experiment::table({summary});
  BOOST_TEST(table.find("deadlines met") == std::string::npos, table);
  BOOST_TEST(nlohmann::json::parse(experiment::to_json({summary}))[0].at("deadlines_met_percent").is_null());
}

// Sums over classes and tenants are the run's, and the class that the scheduler prefers waits less.
BOOST_AUTO_TEST_CASE(classes_and_tenants_have_their_own_figures) {
  const TempFolder folder;
  config::Config config = loaded(folder);
  config.engine.max_sequences = 4;
  config.workload.rate_scale = 8;  // more than four at once can take
  config.policy.scheduler.plugin = "priority";
  config.workload.tenants = {{"a", 1}, {"b", 2}};
  config.workload.classes["fast"] = {1, 9, {}, {}, 1e6, {}, {}, {}};
  config.workload.classes["slow"] = {3, 0, {}, {}, {}, {}, {}, {}};
  const Summary summary = run_of(config);
  BOOST_REQUIRE_EQUAL(summary.classes.size(), 2u);
  BOOST_REQUIRE_EQUAL(summary.tenants.size(), 2u);
  const LabelFigures &fast = figures(summary.classes, "fast"), &slow = figures(summary.classes, "slow");
  BOOST_TEST(fast.completed + slow.completed == summary.completed);
  BOOST_TEST(fast.ended + slow.ended == 300u);
  BOOST_TEST(figures(summary.tenants, "a").ended + figures(summary.tenants, "b").ended == 300u);
  BOOST_TEST(slow.first_token.p50 > 5 * fast.first_token.p50);
  BOOST_TEST(std::max(fast.first_token.max, slow.first_token.max) == summary.first_token.max);
  BOOST_TEST(std::max(fast.end_to_end.max, slow.end_to_end.max) == summary.end_to_end.max);
  BOOST_TEST((fast.goodput.stated == fast.ended && fast.goodput.met == fast.ended));
  BOOST_TEST(slow.goodput.stated == 0u);
  BOOST_TEST(summary.goodput.met == fast.ended);
}

// Each deadline by itself, at the median of what it is about: half of them are met. Of the gaps that is their mean in a request, and
// theirs lie between the least and the longest gap.
BOOST_AUTO_TEST_CASE(a_deadline_is_met_or_not_by_what_it_is_about) {
  const TempFolder folder;
  config::Config config = loaded(folder);
  config.engine.max_sequences = 8;
  const Summary free = run_of(config);
  config.workload.deadlines.ttft_ms = free.first_token.p50;
  const Summary first = run_of(config);
  BOOST_TEST(first.goodput.stated == 300u);
  BOOST_TEST(std::abs(static_cast<int>(first.goodput.met) - 150) <= 1);
  config.workload.deadlines = {};
  config.workload.deadlines.tbt_ms = free.between_p50;
  const Summary between = run_of(config);
  BOOST_TEST((between.goodput.met < 290u && between.goodput.met >= 10u));
  config.workload.deadlines.tbt_ms = free.longest_gap;
  BOOST_TEST(run_of(config).goodput.met == 300u);
  config.workload.deadlines = {};
  config.workload.deadlines.end_ms = free.end_to_end.p50;
  const Summary end = run_of(config);
  BOOST_TEST((end.goodput.met <= end.completed && end.goodput.met > 100u));  // cut between two steps
  BOOST_TEST(end.deadline > 50u);
  BOOST_TEST(end.goodput.stated == 300u);
}

BOOST_AUTO_TEST_CASE(what_the_intake_refused_met_nothing) {
  const TempFolder folder;
  config::Config config = loaded(folder);
  config.engine.max_sequences = 2;
  config.engine.max_waiting = 4;
  config.workload.rate_scale = 50;
  config.workload.classes["only"].ttft_ms = 1e6;
  const Summary summary = run_of(config);
  BOOST_TEST(summary.rejected > 100u);
  const LabelFigures& only = figures(summary.classes, "only");
  BOOST_TEST(only.ended == 300u);
  BOOST_TEST(only.goodput.stated == 300u);
  BOOST_TEST(only.goodput.met == 300u - summary.rejected);
}

BOOST_AUTO_TEST_CASE(the_table_and_the_json_show_them) {
  const TempFolder folder;
  config::Config config = loaded(folder);
  config.workload.classes["chat"].ttft_ms = 1e6;
  config.workload.classes["batch"];
  Summary one = run_of(config), two = one;
  one.name = "one";
  two.name = "two";
  const std::string table = experiment::table({one, two});
  const auto line = [&](const std::string& start) {
    const std::size_t at = table.find("\n" + start);
    BOOST_REQUIRE_MESSAGE(at != std::string::npos, start << " in " << table);
    return table.substr(at + 1, table.find('\n', at + 1) - at - 1);
  };
  BOOST_TEST(line("by class").find("deadlines met, %") != std::string::npos);
  const std::string batch = line("  batch   one"), chat = line("  chat    two");
  BOOST_TEST(batch.ends_with(" -"), batch);
  BOOST_TEST(chat.ends_with(" 100"), chat);
  BOOST_TEST(batch.find(" " + std::to_string(figures(one.classes, "batch").ended) + " ") != std::string::npos,
             batch);
  const auto json = nlohmann::json::parse(experiment::to_json({one}))[0];
  BOOST_TEST(json.at("classes").size() == 2u);
  BOOST_TEST(json.at("classes")[0].at("label") == "batch");
  BOOST_TEST(json.at("classes")[0].at("deadlines_met_percent").is_null());
  BOOST_TEST(json.at("classes")[1].at("deadlines_met_percent") == 100);
  BOOST_TEST(json.at("classes")[1].at("first_token_p99_ms") == figures(one.classes, "chat").first_token.p99);
  BOOST_TEST(json.at("tenants").empty());
}

BOOST_AUTO_TEST_CASE(fairness_is_jains_index_of_the_times_a_token) {
  const auto of = [](std::vector<double> times) {
    std::vector<experiment::LabelFigures> labels;
    for (const double ms : times) labels.emplace_back().per_token_ms = ms;
    return experiment::fairness(labels);
  };
  BOOST_TEST(of({5, 5, 5}) == 1.0);
  BOOST_TEST(of({1, 3}) == 0.8);
  BOOST_TEST(of({1, 3, experiment::kNone}) == 0.8);  // none of its requests was completed
  BOOST_TEST(std::isnan(of({experiment::kNone})));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
