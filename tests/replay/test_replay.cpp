// A step log replays: every decision equal, and the tables that policies read equal byte for byte.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <fstream>

#include "recorded.hpp"

namespace serveloop::test {
namespace {

std::string file_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(replay)

BOOST_AUTO_TEST_CASE(everything_comes_out_equal) {
  std::uint64_t seed = 0;
  for (const char* executor : {"hash", "simulated"})
    for (const char* scheduler : {"fcfs", "priority", "dlpm"})
      for (const std::uint32_t lag : {0u, 1u})
        for (const std::uint32_t blocks : {40u, 1024u})
          for (const bool gate : {false, true})
            BOOST_TEST_CONTEXT(
                fmt::format("{} {} lag {} blocks {} gate {}", executor, scheduler, lag, blocks, gate)) {
              Scene scene = logged(executor, lag, blocks);
              scene.scheduler = scheduler;
              ++seed;
              scene.preemption =
                  std::array{"recompute", "least-progress", "most-blocks", "swap", "cost"}[seed % 5];
              if (gate && seed % 4 == 0)
                scene.gates = {"hold"}, scene.gate_options["hold_us"] = 3000;
              else if (gate)
                scene.gates = {"token-bucket"},
                scene.gate_options = toml::Table{{"rate", 5000}, {"burst", 300}};
              Stage stage(scene);
              script_mixed_load(stage, seed, 40);
              const Recorded recorded = record(stage);
              if (blocks < 64) BOOST_CHECK_GT(stage.engine().counters().preemptions, 0u);
              check_replay(stage, recorded, false);
              check_replay(stage, recorded, true);
            }
}

// Wrong answers, their refusal and the ejection are decisions, too.
BOOST_AUTO_TEST_CASE(a_misbehaving_scheduler_comes_out_equal) {
  const std::pair<const char*, std::int64_t> modes[] = {
      {"unknown_id", 1}, {"unknown_id", 3}, {"over_budget", 1}, {"twice", 3},           {"overflow", 2},
      {"empty", 1},      {"exception", 1},  {"exception", 3},   {"negative_status", 2}, {"bad_number", 1}};
  for (const auto& [mode, rate] : modes) BOOST_TEST_CONTEXT(mode << " rate " << rate) {
      Scene scene = logged("hash", 1, 64);
      scene.scheduler = "bad-scheduler";
      scene.scheduler_options["mode"] = mode;
      scene.scheduler_options["rate"] = rate;
      Stage stage(scene);
      script_mixed_load(stage, 3, 20, false);
      const Recorded recorded = record(stage);
      BOOST_CHECK(!stage.engine().counters().fallbacks.empty());
      check_replay(stage, recorded, false);
      check_replay(stage, recorded, true);
    }
}

BOOST_AUTO_TEST_CASE(the_swap_of_a_gate_comes_out_equal) {
  Scene scene = logged("hash", 1, 64);
  scene.gates = {"hold"};
  Stage stage(scene);
  script_mixed_load(stage, 9, 20);
  stage.at(4, [&] { stage.swap(policy::Kind::scheduler, "hold", 0); });
  stage.at(6, [&] { stage.swap(policy::Kind::scheduler, "hold", 3); });  // there is none: an incident
  const Recorded recorded = record(stage);
  BOOST_CHECK(!stage.engine().incidents().empty());
  check_replay(stage, recorded, false);
  check_replay(stage, recorded, true);
}

BOOST_AUTO_TEST_CASE(another_scheduler_differs_at_a_stated_step) {
  Scene scene = logged("hash", 0, 256);
  scene.token_budget = 1024;
  Stage stage(scene);
  stage.at(0, [&] { stage.request(ask(1, 100, 20)); });
  stage.at(10, [&] { stage.request(ask(2, 700, 20)); });  // a chunk for the one, whole for the other
  record(stage);
  ReplayOptions options;
  options.scheduler = "sarathi";
  const ReplayResult result = need(experiment::replay(stage.log_path(), options));
  BOOST_REQUIRE(result.difference);
  BOOST_CHECK_EQUAL(result.difference->step, 10u);
  BOOST_CHECK_EQUAL(result.difference->what, "plan");
  const std::string text = result.difference->text();
  BOOST_CHECK(text.find(fmt::format("first difference at step {}: plan", result.difference->step)) == 0);
  for (const char* part :
       {"recorded: ", "replayed: ", " entries:", "context: ", " running, ", "the step's items: message"})
    BOOST_CHECK_MESSAGE(text.find(part) != std::string::npos, part << " is not in\n" << text);
}

BOOST_AUTO_TEST_CASE(a_log_that_was_cut_off_replays_to_its_last_whole_step) {
  Stage stage(logged("hash", 1, 64));
  script_mixed_load(stage, 6, 20);
  const Recorded recorded = record(stage);
  const std::string whole = file_of(stage.log_path());
  for (const std::size_t cut : {std::size_t{1}, std::size_t{100}, whole.size() / 2}) {
    std::ofstream(stage.log_path(), std::ios::binary) << whole.substr(0, whole.size() - cut);
    const ReplayResult result = need(experiment::replay(stage.log_path(), {}));
    BOOST_CHECK(!result.difference);
    BOOST_CHECK(!result.complete);
    BOOST_CHECK_GT(result.steps, cut < 1000 ? recorded.steps * 9 / 10 : 1);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
