// The same with a real clock: a scheduler that sleeps for 50 ms once.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <cmath>

#include "base/steady_clock.hpp"
#include "execute/hash.hpp"
#include "stage.hpp"

namespace serveloop::test {
namespace {

using observe::Cause;

// Two requests alone on an engine in real time. The scheduler's tenth call takes `sleep_us` longer.
std::vector<engine::Finished> run(std::int64_t sleep_us) {
  const TempFolder folder;
  Scene scene;
  scene.blocks = 256;
  scene.scheduler = "bad-scheduler";
  scene.scheduler_options["mode"] = "sleepy";
  scene.scheduler_options["at"] = 10;
  scene.scheduler_options["sleep_us"] = sleep_us;
  const config::Config config = config_of(scene, folder);
  const experiment::Model model = *experiment::load_model(config);
  const engine::Options options = *experiment::engine_options(config, model);
  SteadyClock clock;
  execute::HashExecutor executor(clock, model.cost, options.max_sequences, options.kv_blocks,
                                 options.block_tokens);
  experiment::Recorder recorder;
  const policy::Host host = experiment::plugin_host(config);
  auto engine = *engine::Engine::create(options, experiment::labeler(config),
                                        *experiment::load_policies(config, host, options), clock, executor,
                                        recorder, nullptr);
  for (std::uint64_t i = 0; i < 2; ++i) {
    requests::RequestSpec spec = ask(10 + i, 12, 25);
    spec.arrival_ns = clock.now_ns();
    engine::Message message;
    message.what = engine::Message::What::arrive;
    message.arrival = *engine->prepare(spec);
    engine->inject(std::move(message));
  }
  while (engine->busy() || engine->steps() == 0) engine->step();
  return recorder.ends();
}

// Milliseconds by which each cause grew, of the first request; 50 are expected of policies.
std::array<double, observe::kCauses> growth_ms() {
  const std::vector<engine::Finished> base = run(0), late = run(50'000);
  for (const engine::Finished& end : late)
    BOOST_CHECK_EQUAL(observe::sum(end.causes), static_cast<std::int64_t>(end.end_ns - end.arrival_ns));
  std::array<double, observe::kCauses> growth{};
  for (std::size_t c = 0; c < observe::kCauses; ++c)
    growth[c] = static_cast<double>(late.front().causes[c] - base.front().causes[c]) * 1e-6;
  return growth;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(real_time)

BOOST_AUTO_TEST_CASE(a_slow_policy_is_seen_as_one) {
  std::string seen;
  for (int attempt = 0; attempt < 10;
       ++attempt) {  // a busy machine may take the processor away: that is time, too
    const auto growth = growth_ms();
    bool alone = true;
    for (std::size_t c = 0; c < observe::kCauses; ++c) {
      const double expected = static_cast<Cause>(c) == Cause::host_policy ? 50 : 0;
      alone = alone && std::abs(growth[c] - expected) <= 5;
      if (std::abs(growth[c]) > 1)
        seen += fmt::format("{} {:.1f} ms, ", observe::name_of(static_cast<Cause>(c)), growth[c]);
    }
    if (alone) return;
    seen += "; ";
  }
  BOOST_ERROR("50 ms of a policy's were seen as " << seen);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
