// The steps that a log tells of are those that ran: on the simulated device, whose time is the cost model's, each has the time
// that the model gives what it holds.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <fstream>

#include "experiment/calibrate.hpp"
#include "experiment/log_steps.hpp"
#include "rig/calibration.hpp"
#include "stage.hpp"

namespace serveloop::test {
namespace {

Scene simulated(std::uint32_t lag) {
  Scene scene;
  scene.executor = "simulated";
  scene.lag = lag;
  scene.blocks = 120;  // some are preempted
  scene.log = "run.slog";
  return scene;
}

std::vector<experiment::MeasuredStep> steps_of(const Stage& stage) {
  const Result<experiment::LogSteps> log = experiment::steps_of_log(stage.log_path());
  if (!log) BOOST_FAIL(log.error().message());
  BOOST_CHECK(log->complete);
  return log->steps;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(log_steps)

BOOST_AUTO_TEST_CASE(each_has_the_time_of_its_shape) {
  for (const std::uint32_t lag : {0u, 1u}) {
    Stage stage(simulated(lag));
    script_mixed_load(stage, 7, 300);  // with failed steps, which are left out
    stage.run();
    stage.finish_log();
    const sl_cost& cost = stage.rig().options.cost;
    std::array<std::size_t, experiment::kStepKinds> kinds{};
    for (const experiment::MeasuredStep& step : steps_of(stage)) {
      ++kinds[static_cast<std::size_t>(step.kind())];
      const double model = sl_predict_step_ns(&cost, step.decodes, step.decode_context, step.prefill_tokens,
                                              step.prefill_pairs);
      BOOST_CHECK_SMALL(static_cast<double>(step.ns) - model, 2.0);
      BOOST_CHECK_EQUAL(step.chunks > 0, step.prefill_tokens > 0);
    }
    for (const std::size_t count : kinds) BOOST_CHECK_GE(count, 4u);
  }
}

BOOST_AUTO_TEST_CASE(equal_work_shares_a_group) {
  Stage stage(simulated(0));
  stage.at(0, [&] {
    for (std::uint64_t i = 1; i <= 2; ++i) stage.request(ask(i, 16, 300));
  });
  stage.run();
  stage.finish_log();
  const std::vector<experiment::MeasuredStep> steps = steps_of(stage);
  BOOST_REQUIRE_GE(steps.size(), 300u);
  for (std::size_t i = 1; i < steps.size(); ++i)
    if (steps[i].group == steps[i - 1].group) {
      BOOST_CHECK_EQUAL(steps[i].decodes, steps[i - 1].decodes);
      BOOST_CHECK_LE(static_cast<double>(steps[i].decode_context),
                     1.02 * static_cast<double>(steps[i - 1].decode_context));
    }
  BOOST_CHECK_LT(steps.back().group, 200u);
  BOOST_CHECK_GT(steps.back().group, 20u);
}

// Each log numbers its groups from 0; of several logs those of equal work belong together, and no others.
BOOST_AUTO_TEST_CASE(steps_of_several_logs_are_grouped_by_their_work) {
  std::vector<experiment::MeasuredStep> steps(4);
  steps[0].decodes = steps[2].decodes = 3;
  steps[1].decodes = 4;
  steps[3].prefill_tokens = 64;
  for (experiment::MeasuredStep& s : steps) s.group = 0;
  experiment::group_alike(steps);
  BOOST_CHECK_EQUAL(steps[0].group, steps[2].group);
  BOOST_CHECK_NE(steps[0].group, steps[1].group);
  BOOST_CHECK_NE(steps[0].group, steps[3].group);
  BOOST_CHECK_NE(steps[1].group, steps[3].group);
}

// What is fitted to a device that follows the model predicts it.
BOOST_AUTO_TEST_CASE(a_refit_predicts_the_steps) {
  Stage stage(simulated(1));
  script_mixed_load(stage, 3, 120, false);
  stage.run();
  stage.finish_log();
  config::Calibration base;
  base.name = "base";
  base.device = "a device";
  base.source = "nowhere";
  base.step_fixed_us = 1e6;  // to be replaced
  base.kv_bytes_per_token = 1024;
  base.kv_memory_bytes = std::uint64_t{1} << 30;
  base.swap_gb_per_s = 12.5;
  base.policy_us = 3.25;
  const Result<experiment::Calibrated> done =
      experiment::refit(base, "again", steps_of(stage), "the command");
  if (!done) BOOST_FAIL(done.error().message());
  BOOST_CHECK_LT(done->fit.all.p95, 0.001);
  BOOST_CHECK_EQUAL(done->calibration.policy_us, 3.25);
  BOOST_CHECK_EQUAL(done->calibration.swap_gb_per_s, 12.5);
  const Result<config::Calibration> read = config::parse_calibration(done->text, "text");
  if (!read) BOOST_FAIL(read.error().message());
  BOOST_CHECK(*read == done->calibration);
  BOOST_CHECK_EQUAL(read->name, "again");
  for (const char* part :
       {"#   the command", "base, its step costs", "All but the step costs is that of base"})
    BOOST_CHECK_MESSAGE(done->text.find(part) != std::string::npos, part);
}

BOOST_AUTO_TEST_CASE(no_log_or_a_damaged_one_is_refused) {
  const TempFolder folder;
  const std::string path = folder.path("not.slog");
  std::ofstream(path) << "no log";
  BOOST_CHECK(!experiment::steps_of_log(path));
  BOOST_CHECK(!experiment::steps_of_log(folder.path("none.slog")));
  BOOST_CHECK(!experiment::refit({}, "few", {}, ""));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
