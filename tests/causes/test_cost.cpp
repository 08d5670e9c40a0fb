// The second ledger, cost: each step's device time is shared among its rows and sums to the device's busy
// time.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>

#include "stage.hpp"

namespace serveloop::test {
namespace {

std::uint64_t billed(Stage& stage) {
  std::uint64_t sum = 0;
  for (const engine::Finished& end : stage.ends()) sum += end.service_ns;
  auto& requests = const_cast<requests::Manager&>(stage.engine().requests());
  for (const requests::Slot slot : requests.live_slots()) sum += requests.cold(slot).service_ns;
  return sum;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(cost)

BOOST_AUTO_TEST_CASE(sums_to_the_devices_busy_time_after_each_step) {
  for (const std::uint32_t lag : {0u, 1u})
    for (const std::uint32_t blocks : {40u, 1024u})
      for (std::uint64_t seed = 1; seed <= 4; ++seed)
        BOOST_TEST_CONTEXT(fmt::format("lag {} blocks {} seed {}", lag, blocks, seed)) {
          Scene scene;
          scene.lag = lag;
          scene.blocks = blocks;
          scene.token_budget = 64;
          scene.host_us = 20;
          Stage stage(scene);
          script_mixed_load(stage, seed, 40);
          // Unbilled: steps all of whose sequences had ended when they came back.
          stage.after_each_step([&] {
            const engine::Counters& c = stage.engine().counters();
            BOOST_REQUIRE_EQUAL(billed(stage) + c.unbilled_ns, c.device_ns);
          });
          stage.run();
          const engine::Counters& c = stage.engine().counters();
          if (lag == 0) BOOST_CHECK_EQUAL(c.unbilled_ns, 0u);
          BOOST_CHECK_LT(c.unbilled_ns, c.device_ns / 20);
        }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
