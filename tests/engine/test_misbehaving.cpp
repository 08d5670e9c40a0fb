// Plugins that answer wrongly: the fallback takes the step, count and reason are visible, and requests notice
// nothing (law 2).
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>

#include "policy/reasons.hpp"
#include "world.hpp"

namespace serveloop::test {

namespace {

using policy::Kind;

constexpr std::uint32_t kRequests = 90, kLongestPrompt = 96;
constexpr std::uint32_t kSmallest =
    (kLongestPrompt + 28 + kBlockTokens - 2) / kBlockTokens;  // blocks for the longest alone
constexpr std::uint32_t kEjectAfter = policy::EjectRule{}.consecutive;

struct Traffic {
  std::vector<Ask> asks = mixed_asks(kRequests, 11, kLongestPrompt);
  Outputs reference = alone(asks);
};
const Traffic& traffic() {
  static const Traffic all;
  return all;
}

struct Mode {
  const char* name;
  std::uint16_t reason;  // SL_REASON_NONE: legal, though of no use
};

struct Case {
  Kind kind;
  const char* plugin;
  Mode mode;
  std::int64_t rate;
  std::uint32_t lag;
};

toml::Value options_of(const Case& c) { return toml::Table{{"mode", c.mode.name}, {"rate", c.rate}}; }

Setting setting_of(const Case& c) {
  Setting s;
  s.lag = c.lag;
  s.blocks = 2 * kSmallest;
  s.token_budget = 48;
  s.bypass_steps = 4;
  if (c.kind == Kind::scheduler) s.scheduler = c.plugin, s.scheduler_options = options_of(c);
  if (c.kind == Kind::eviction) s.eviction = c.plugin, s.eviction_options = options_of(c);
  if (c.kind == Kind::preemption) s.preemption = c.plugin, s.preemption_options = options_of(c);
  return s;
}

// What the report of an ejected plugin must say.
void check_report(const World& world, const Case& c) {
  const std::vector<std::string>& incidents = world.engine().incidents();
  BOOST_REQUIRE_EQUAL(incidents.size(), 1u);
  for (const std::string& part : {std::string(policy::name_of(c.kind)) + " '" + c.plugin + "' ejected",
                                  std::string("refused in a row"), std::string("last answers:")})
    BOOST_CHECK_MESSAGE(incidents.front().find(part) != std::string::npos,
                        part << " is not in: " << incidents.front());
}

// The row that broke a rule is in the report, and why.
void check_bad_row(const World& world, const Case& c) {
  const std::uint16_t whole[] = {SL_REASON_CALL_FAILED, SL_REASON_OVERFLOW, SL_REASON_OVER_BUDGET,
                                 SL_REASON_TOO_FEW, SL_REASON_NO_PROGRESS};
  const std::string& report = world.engine().incidents().front();
  const std::string why = "refused: " + std::string(policy::reason_name(c.mode.reason, nullptr));
  if (c.mode.reason != SL_REASON_CALL_FAILED)
    BOOST_CHECK_MESSAGE(report.find(" rows, ") != std::string::npos && report.find(why) != std::string::npos,
                        why << " is not in: " << report);
  if (std::find(std::begin(whole), std::end(whole), c.mode.reason) == std::end(whole)) {
    const std::size_t at = report.find("  <- row ");
    BOOST_CHECK_MESSAGE(at != std::string::npos && report.find(why, at) != std::string::npos,
                        "no row is marked in: " << report);
  }
}

// Runs all requests to their ends; returns how many answers were refused, after checking that only for the
// reason expected.
std::uint64_t run(World& world, const Case& c) {
  world.run();
  check_law_1(world, traffic().asks, traffic().reference);
  check_ends(world, traffic().reference);
  check_idle(world);
  std::uint64_t refused = 0;
  for (const auto& [what, count] : world.counters().fallbacks) {
    BOOST_CHECK_EQUAL(what.first, static_cast<std::uint8_t>(c.kind));
    BOOST_CHECK_EQUAL(what.second, c.mode.reason);
    refused += count;
  }
  return refused;
}

void check_now_and_then(const Case& c) {
  BOOST_TEST_CONTEXT(c.plugin << " " << c.mode.name << " each " << c.rate << ". call, lag " << c.lag) {
    World world(setting_of(c), traffic().asks);
    const std::uint64_t refused = run(world, c);
    if (c.mode.reason == SL_REASON_NONE)
      BOOST_CHECK_EQUAL(refused, 0u);
    else
      BOOST_CHECK_GE(refused, 1u);
  }
}

void check_always(const Case& c) {
  BOOST_TEST_CONTEXT(c.plugin << " " << c.mode.name << " always, lag " << c.lag) {
    World world(setting_of(c), traffic().asks);
    const std::uint64_t refused = run(world, c);
    if (c.mode.reason == SL_REASON_NONE) {
      BOOST_CHECK_EQUAL(refused, 0u);
      return;
    }
    BOOST_CHECK_GE(refused, 1u);
    if (world.counters().ejected == 0) return;  // the state offered too little to be wrong about
    BOOST_CHECK_EQUAL(world.counters().ejected, 1u);
    BOOST_CHECK_GE(refused, kEjectAfter);
    check_report(world, c);
    check_bad_row(world, c);
    const engine::Policies& p = world.engine().policies();
    BOOST_CHECK((c.kind == Kind::scheduler && p.scheduler == nullptr) ||
                (c.kind == Kind::eviction && p.eviction == nullptr) ||
                (c.kind == Kind::preemption && p.preemption == nullptr));
  }
}

void check_all(Kind kind, const char* plugin, const std::vector<Mode>& modes) {
  for (const Mode& mode : modes)
    for (const std::uint32_t lag : {0u, 1u}) {
      check_now_and_then({kind, plugin, mode, 3, lag});
      check_always({kind, plugin, mode, 1, lag});
    }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(misbehaving)

BOOST_AUTO_TEST_CASE(schedulers) {
  check_all(Kind::scheduler, "bad-scheduler",
            {{"unknown_id", SL_REASON_UNKNOWN_ID},
             {"stale_id", SL_REASON_STALE_ID},
             {"over_budget", SL_REASON_OVER_BUDGET},
             {"twice", SL_REASON_TWICE},
             {"wrong_state", SL_REASON_WRONG_STATE},
             {"overflow", SL_REASON_OVERFLOW},
             {"exception", SL_REASON_CALL_FAILED},
             {"negative_status", SL_REASON_CALL_FAILED},
             {"unknown_verb", SL_REASON_UNKNOWN_VERB},
             {"bad_number", SL_REASON_BAD_NUMBER},
             {"starve", SL_REASON_NONE}});
}

BOOST_AUTO_TEST_CASE(evictions) {
  check_all(Kind::eviction, "bad-eviction",
            {{"unknown_id", SL_REASON_UNKNOWN_ID},
             {"stale_key", SL_REASON_STALE_ID},
             {"pinned", SL_REASON_PINNED},
             {"twice", SL_REASON_TWICE},
             {"cached_children", SL_REASON_CACHED_CHILDREN},
             {"too_few", SL_REASON_TOO_FEW},
             {"empty", SL_REASON_TOO_FEW},
             {"exception", SL_REASON_CALL_FAILED},
             {"negative_status", SL_REASON_CALL_FAILED},
             {"overflow", SL_REASON_OVERFLOW},
             {"bad_number", SL_REASON_BAD_NUMBER}});
}

BOOST_AUTO_TEST_CASE(preemptions) {
  check_all(Kind::preemption, "bad-preemption",
            {{"unknown_id", SL_REASON_UNKNOWN_ID},
             {"stale_id", SL_REASON_STALE_ID},
             {"not_a_candidate", SL_REASON_NOT_A_CANDIDATE},
             {"twice", SL_REASON_TWICE},
             {"empty", SL_REASON_NO_PROGRESS},
             {"keep_all", SL_REASON_NO_PROGRESS},
             {"keep_too_much", SL_REASON_BAD_NUMBER},
             {"exception", SL_REASON_CALL_FAILED},
             {"negative_status", SL_REASON_CALL_FAILED},
             {"overflow", SL_REASON_OVERFLOW},
             {"bad_number", SL_REASON_BAD_NUMBER}});
}

// Nothing is wrong with one empty plan; bypass_steps of them in a row are answered.
BOOST_AUTO_TEST_CASE(a_scheduler_that_never_plans_anything) {
  const Case c{Kind::scheduler, "bad-scheduler", {"empty", SL_REASON_NO_PROGRESS}, 1, 0};
  World world(setting_of(c), traffic().asks);
  BOOST_CHECK_GE(run(world, c), kEjectAfter);
  BOOST_CHECK_EQUAL(world.counters().ejected, 1u);
  BOOST_CHECK_GE(world.counters().empty_plans, kEjectAfter * setting_of(c).bypass_steps);
  const Case rarely{Kind::scheduler, "bad-scheduler", {"empty", SL_REASON_NONE}, 3, 1};
  check_now_and_then(rarely);
}

// One that fails always is out after so many answers, and the rest goes by the fallback: no plugin is asked
// again.
BOOST_AUTO_TEST_CASE(one_that_fails_always_is_ejected_at_once) {
  for (const char* mode : {"exception", "unknown_id", "overflow"}) {
    const bool failed_call = mode == std::string("exception");
    const bool overflow = mode == std::string("overflow");
    const std::uint16_t reason = failed_call ? SL_REASON_CALL_FAILED
                                 : overflow  ? SL_REASON_OVERFLOW
                                             : SL_REASON_UNKNOWN_ID;
    for (const auto& [kind, plugin] :
         {std::pair(Kind::scheduler, "bad-scheduler"), std::pair(Kind::eviction, "bad-eviction"),
          std::pair(Kind::preemption, "bad-preemption")}) {
      const Case c{kind, plugin, {mode, reason}, 1, 0};
      World world(setting_of(c), traffic().asks);
      BOOST_CHECK_EQUAL(run(world, c), kEjectAfter);
      BOOST_CHECK_EQUAL(world.counters().ejected, 1u);
      check_report(world, c);
      BOOST_CHECK(world.engine().incidents().front().find(policy::reason_name(reason, nullptr)) !=
                  std::string::npos);
    }
  }
}

// A slow policy is no wrong one: nothing falls back (the time is its cause, shown elsewhere).
BOOST_AUTO_TEST_CASE(a_slow_scheduler_is_kept) {
  Setting s;
  s.scheduler = "bad-scheduler";
  s.scheduler_options = toml::Table{{"mode", "sleepy"}, {"at", 5}, {"sleep_us", 2000}};
  World world(s, traffic().asks);
  world.run();
  check_law_1(world, traffic().asks, traffic().reference);
  BOOST_CHECK(world.counters().fallbacks.empty());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
