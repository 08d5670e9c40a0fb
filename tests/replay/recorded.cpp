#include "recorded.hpp"

#include <boost/test/unit_test.hpp>

namespace serveloop::test {
namespace {

constexpr std::uint64_t kEvery = 16;  // steps between two looks at the mapping

void look(const engine::Engine& engine, Recorded& seen) {
  seen.whole[engine.steps()] = fingerprint(engine, false);
  seen.tables[engine.steps()] = fingerprint(engine, true);
}

}  // namespace

Scene logged(const char* executor, std::uint32_t lag, std::uint32_t blocks) {
  Scene scene;
  scene.executor = executor;
  scene.lag = lag;
  scene.blocks = blocks;
  scene.token_budget = 64;
  scene.max_sequences = 8;
  scene.max_waiting = 256;
  scene.host_us = 15;
  scene.log = "run.slog";
  return scene;
}

Recorded record(Stage& stage) {
  Recorded seen;
  stage.after_each_step([&] {
    if (stage.engine().steps() % kEvery == 0) look(stage.engine(), seen);
  });
  stage.run();
  look(stage.engine(), seen);
  seen.steps = stage.engine().steps();
  stage.finish_log();
  return seen;
}

ReplayResult need(Result<ReplayResult> result) {
  if (!result) BOOST_FAIL(result.error().message());
  return *result;
}

void check_replay(const Stage& stage, const Recorded& recorded, bool recorded_answers) {
  ReplayOptions options;
  options.recorded_answers = recorded_answers;
  std::size_t looks = 0;
  const auto& expected = recorded_answers ? recorded.tables : recorded.whole;
  options.each_step = [&](const engine::Engine& engine) {
    const auto found = expected.find(engine.steps());
    if (found == expected.end()) return;
    ++looks;
    const std::string differs = difference(found->second, fingerprint(engine, recorded_answers));
    BOOST_CHECK_MESSAGE(differs.empty(), "after " << engine.steps() << " steps: " << differs);
  };
  const ReplayResult result = need(experiment::replay(stage.log_path(), options));
  if (result.difference) BOOST_ERROR(result.difference->text());
  BOOST_CHECK(result.complete);
  BOOST_CHECK_EQUAL(result.steps, recorded.steps);
  BOOST_CHECK_GT(result.decisions, 0u);
  BOOST_CHECK_EQUAL(looks, expected.size());
}

}  // namespace serveloop::test
