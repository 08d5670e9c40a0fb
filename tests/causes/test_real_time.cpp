// The same with a real clock: a scheduler that sleeps for 50 ms once.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <chrono>
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
  const rig::Device device = *rig::make_device(config, rig::plugin_host(config));
  const engine::Options options = rig::engine_options(config, device.facts);
  SteadyClock clock;
  execute::HashExecutor executor(clock, device.facts.cost, options.max_sequences, options.kv_blocks,
                                 options.block_tokens);
  experiment::Recorder recorder;
  const policy::Host host = rig::plugin_host(config);
  auto engine = *engine::Engine::create(options, rig::labeler(config),
                                        *rig::load_policies(config, host, options, device.precision), clock,
                                        executor, recorder, nullptr);
  for (std::uint64_t i = 0; i < 2; ++i) {
    requests::RequestSpec spec = ask(10 + i, 12, 12);
    spec.arrival_ns = clock.now_ns();
    engine::Message message;
    message.what = engine::Message::What::arrive;
    message.arrival = *engine->prepare(spec);
    engine->inject(std::move(message));
  }
  while (engine->busy() || engine->steps() == 0) engine->step();
  return recorder.ends();
}

// A busy machine takes the processor away now and then: that is time, too, and of whatever was going on. So a
// run is compared with the quickest of those without the sleep, and one clear pair is enough.
class Attempts {
 public:
  // Milliseconds by which each cause grew, of the first request.
  std::array<double, observe::kCauses> next() {
    for (int i = 0; i < 2 || quickest_.empty(); ++i) {
      std::vector<engine::Finished> base = run(0);
      if (quickest_.empty() || lasted(base) < lasted(quickest_)) quickest_ = std::move(base);
    }
    const std::vector<engine::Finished> late = run(kSleepMs * 1000);
    for (const engine::Finished& end : late)
      BOOST_REQUIRE_EQUAL(observe::sum(end.causes), static_cast<std::int64_t>(end.end_ns - end.arrival_ns));
    std::array<double, observe::kCauses> growth{};
    for (std::size_t c = 0; c < observe::kCauses; ++c)
      growth[c] = static_cast<double>(late.front().causes[c] - quickest_.front().causes[c]) * 1e-6;
    return growth;
  }
  static constexpr std::int64_t kSleepMs = 50;

 private:
  static std::uint64_t lasted(const std::vector<engine::Finished>& ends) {
    return ends.front().end_ns - ends.front().arrival_ns;
  }
  std::vector<engine::Finished> quickest_;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(real_time)

// The policy may be seen to take longer than it slept, where it lost the processor meanwhile; all else must
// be seen as before.
BOOST_AUTO_TEST_CASE(a_slow_policy_is_seen_as_one) {
  constexpr double kOff = 0.1 * Attempts::kSleepMs;
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(40);
  Attempts attempts;
  std::string seen;
  while (std::chrono::steady_clock::now() < give_up) {
    const auto growth = attempts.next();
    bool alone = true;
    seen.clear();
    for (std::size_t c = 0; c < observe::kCauses; ++c) {
      const bool is_policy = static_cast<Cause>(c) == Cause::host_policy;
      alone =
          alone && (is_policy ? growth[c] >= Attempts::kSleepMs - kOff && growth[c] < 2 * Attempts::kSleepMs
                              : std::abs(growth[c]) <= kOff);
      if (std::abs(growth[c]) > 1)
        seen += fmt::format("{} {:.1f} ms, ", observe::name_of(static_cast<Cause>(c)), growth[c]);
    }
    if (alone) return;
  }
  BOOST_ERROR(Attempts::kSleepMs << " ms of a policy's were last seen as " << seen);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
