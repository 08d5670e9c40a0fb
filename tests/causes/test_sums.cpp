// Causes leave no gap and no overlap: for every sequence they sum to its end less its arrival, and none is
// negative.
#include <fmt/format.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <set>

#include "stage.hpp"

namespace serveloop::test {
namespace {

void check_sums(const Stage& stage) {
  for (const engine::Finished& end : stage.ends()) {
    BOOST_TEST_CONTEXT("request " << end.request << " fork " << end.fork << " finish " << end.finish) {
      BOOST_CHECK_EQUAL(observe::sum(end.causes), static_cast<std::int64_t>(end.end_ns - end.arrival_ns));
      for (std::size_t i = 0; i < observe::kCauses; ++i)
        if (end.causes[i] < 0)
          BOOST_ERROR(
              fmt::format("{}: {} ns", observe::name_of(static_cast<observe::Cause>(i)), end.causes[i]));
    }
  }
}

struct Mix {
  const char* scheduler;
  std::uint32_t lag, blocks, budget;
  bool gate;
  double host_us;
};

void gate(Scene& scene, std::uint64_t seed) {
  const bool bucket = seed % 2 == 0;
  scene.gates = {bucket ? "token-bucket" : "hold"};
  if (bucket)
    scene.gate_options = toml::Table{{"rate", 5000}, {"burst", 300}};
  else
    scene.gate_options["hold_us"] = 3000;
}

void check_mix(const Mix& mix, std::uint64_t seed, std::set<observe::Cause>& seen) {
  Scene scene;
  scene.scheduler = mix.scheduler;
  scene.lag = mix.lag;
  scene.blocks = mix.blocks;
  scene.token_budget = mix.budget;
  scene.max_sequences = 8;
  scene.host_us = mix.host_us;
  if (mix.gate) gate(scene, seed);
  scene.preemption = std::array{"recompute", "least-progress", "most-blocks", "swap", "cost"}[seed % 5];
  BOOST_TEST_CONTEXT(fmt::format("{} lag {} blocks {} budget {} gate {} host {} seed {}", mix.scheduler,
                                 mix.lag, mix.blocks, mix.budget, mix.gate, mix.host_us, seed)) {
    Stage stage(scene);
    const std::uint64_t sequences = script_mixed_load(stage, seed, 60);
    stage.run();
    BOOST_CHECK_EQUAL(stage.ends().size(), sequences);
    BOOST_CHECK_EQUAL(stage.engine().audit(true), "");
    check_sums(stage);
    for (const engine::Finished& end : stage.ends())
      for (std::size_t i = 0; i < observe::kCauses; ++i)
        if (end.causes[i] > 0) seen.insert(static_cast<observe::Cause>(i));
    BOOST_CHECK_GT(stage.engine().counters().swaps, 0u);
    BOOST_CHECK_GT(stage.engine().counters().failed_steps, 0u);
    if (mix.blocks < 64) BOOST_CHECK_GT(stage.engine().counters().preemptions, 0u);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(sums)

BOOST_AUTO_TEST_CASE(no_gap_and_no_overlap_in_mixed_loads) {
  std::set<observe::Cause> seen;
  std::uint64_t seed = 0;
  for (const char* scheduler : {"fcfs", "priority", "sarathi"})
    for (const std::uint32_t lag : {0u, 1u})
      for (const std::uint32_t blocks : {40u, 1024u})
        for (const std::uint32_t budget : {24u, 256u})
          for (const bool gate : {false, true})
            for (const double host_us : {0.0, 40.0})
              check_mix({scheduler, lag, blocks, budget, gate, host_us}, ++seed, seen);
  using enum observe::Cause;
  for (const observe::Cause cause : {boundary, host_policy, host_tokens, host_other, prefill, recompute,
                                     decode, stretched, paused, memory, tokens, slots, policy})
    BOOST_CHECK_MESSAGE(seen.contains(cause), observe::name_of(cause) << " never happened");
}

BOOST_AUTO_TEST_CASE(a_request_that_dies_before_its_first_step) {
  for (const std::uint32_t lag : {0u, 1u}) {
    Scene scene;
    scene.lag = lag;
    scene.host_us = 10;
    Stage stage(scene);
    stage.at(0, [&] { stage.request(ask(1, 8, 20)); });
    stage.at(5, [&] {
      const std::uint64_t id = stage.request(ask(2, 8, 20));
      stage.tell(engine::Message::What::cancel, id);
    });
    stage.run();
    check_sums(stage);
    BOOST_CHECK_EQUAL(stage.end_of(2).finish, SL_FINISH_CANCELLED);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
