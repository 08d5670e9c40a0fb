// Executors by name, and what they say to precision plans.
#include <boost/test/unit_test.hpp>
#include <set>

#include "driver.hpp"
#include "execute/factory.hpp"

namespace serveloop::execute::test {

namespace {

std::unique_ptr<Executor> made(const char* name, Clock& clock) {
  Result<std::unique_ptr<Executor>> executor =
      make_executor(name, {clock, small_cost(), 0, kRows, kBlockTokens, kBlocks});
  BOOST_REQUIRE_MESSAGE(executor.has_value(), name);
  return std::move(*executor);
}

constexpr const char* kNames[] = {"simulated", "hash", "null"};

}  // namespace

BOOST_AUTO_TEST_SUITE(factory)

BOOST_AUTO_TEST_CASE(an_unknown_name_lists_the_known_ones) {
  VirtualClock clock;
  const auto executor = make_executor("cudo", {clock, small_cost(), 0, kRows, kBlockTokens, kBlocks});
  BOOST_REQUIRE(!executor.has_value());
  const std::string message = executor.error().message();
  BOOST_TEST(message.find("'cudo'") != std::string::npos);
  for (const char* name : kNames) BOOST_TEST(message.find(name) != std::string::npos);
}

BOOST_AUTO_TEST_CASE(each_runs_a_step) {
  for (const char* name : kNames) {
    VirtualClock clock;
    const auto executor = made(name, clock);
    const Tokens prompt = {5, 6, 7};
    const Sampling sampling{.seed = 1};
    const Begin begin{0, 0, &sampling, 3, 10, prompt, {}};
    const TableChange change{0, 0, 0};
    const BatchRow rows[] = {{0, 0, 3, true}};
    executor->submit({42, 0, 0, 3, {&begin, 1}, {&change, 1}, {}, rows});
    const Collected done = executor->collect();
    BOOST_TEST(done.step == 42u);
    BOOST_TEST(done.tokens.size() == 1u);
    BOOST_TEST(done.device_end_ns >= done.device_start_ns);
    BOOST_TEST((done.device_end_ns == 0) == (std::string(name) == "null"));
  }
}

BOOST_AUTO_TEST_CASE(the_null_executor_takes_no_time_and_gives_one_token) {
  VirtualClock clock;
  const auto executor = made("null", clock);
  clock.wait_until(77);
  const std::vector<BatchRow> rows = {{0, 0, 3, true}, {1, 0, 100, true}, {2, 5, 1, true}};
  executor->submit({0, 0, 0, 0, {}, {}, {}, rows});
  executor->submit({1, 0, 0, 0, {}, {}, {}, {rows.data(), 1}});
  const Collected done = executor->collect();
  BOOST_TEST(done.device_start_ns == 77u);
  BOOST_TEST(done.device_end_ns == 77u);
  BOOST_REQUIRE(done.tokens.size() == 3u);
  BOOST_TEST(done.tokens[0] == done.tokens[2]);
  BOOST_TEST(executor->collect().tokens.size() == 1u);
  BOOST_TEST(clock.now_ns() == 77u);
}

BOOST_AUTO_TEST_CASE(only_native_plans_are_taken) {
  for (const char* name : kNames) {
    VirtualClock clock;
    const auto executor = made(name, clock);
    const auto keys = executor->op_keys();
    BOOST_REQUIRE(!keys.empty());
    std::set<std::int32_t> layers;
    for (const sl_op_key& key : keys) layers.insert(key.layer);
    BOOST_TEST((layers.contains(0) && layers.contains(1)));
    std::vector<sl_op_plan> plans(keys.size());  // zero is native
    BOOST_TEST(executor->apply(0, plans).has_value());
    plans.back().weight.dtype = SL_E4M3FN;
    const Status refused = executor->apply(0, plans);
    BOOST_REQUIRE(!refused.has_value());
    BOOST_TEST(refused.error().message().find("native") != std::string::npos);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::execute::test
