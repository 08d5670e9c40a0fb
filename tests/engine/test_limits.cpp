// What cuts a request short or keeps it out, and what rules make of it: deadlines, bounds of intake, labels.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>

#include "world.hpp"

namespace serveloop::test {

namespace {

using What = engine::Message::What;
constexpr std::uint64_t kMs = 1000000;

Ask ask(std::uint64_t seed, std::uint32_t prompt, std::optional<std::uint32_t> tokens) {
  Ask a;
  a.spec.pieces = {{seed, prompt}};
  a.spec.max_tokens = tokens;
  a.spec.sampling.seed = seed;
  return a;
}

std::string why_not(World& world, const Ask& a) {
  auto refused = world.engine().prepare(a.spec);
  BOOST_REQUIRE(!refused);
  return refused.error().message();
}

bool mentions(const std::string& text, std::initializer_list<const char*> parts) {
  for (const char* part : parts) {
    if (text.find(part) != std::string::npos) continue;
    BOOST_TEST_MESSAGE(part << " is not in: " << text);
    return false;
  }
  return true;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(limits)

BOOST_AUTO_TEST_CASE(a_deadline_cuts_the_output_short) {
  for (const std::uint32_t lag : {0u, 1u}) {
    std::vector<Ask> asks = {ask(1, 40, 200), ask(2, 40, 20), ask(3, 40, 200)};
    asks[0].spec.end_deadline_ns = 30 * kMs;
    asks[2].spec.end_deadline_ns = 10000 * kMs;  // long after its end
    Setting s;
    s.lag = lag;
    World world(s, asks);
    world.run();
    check_ends(world, alone({ask(1, 40, 200), ask(2, 40, 20), ask(3, 40, 200)}));
    check_idle(world);
    const engine::Finished* cut = world.end_of(world.id_of(0));
    BOOST_CHECK_EQUAL(cut->finish, std::uint32_t{SL_FINISH_DEADLINE});
    BOOST_CHECK_EQUAL(cut->reason, std::uint32_t{SL_REASON_DEADLINE});
    BOOST_CHECK_GE(cut->output_tokens, 5u);
    BOOST_CHECK_GE(cut->end_ns, cut->arrival_ns + 30 * kMs);
    BOOST_CHECK_LT(cut->end_ns, cut->arrival_ns + 33 * kMs);  // within a step
    BOOST_CHECK_EQUAL(world.end_of(world.id_of(2))->finish, std::uint32_t{SL_FINISH_LENGTH});
  }
}

BOOST_AUTO_TEST_CASE(a_deadline_ends_what_is_parked_or_paused_on_time) {
  std::vector<Ask> asks = {ask(1, 40, 50), ask(2, 40, 50)};
  for (Ask& a : asks) a.spec.end_deadline_ns = 40 * kMs;
  asks[1].at_step = 1;
  Setting s;
  s.gates = {{"hold", toml::Table{{"hold_us", 60000}}}};
  World world(s, asks);
  world.one_step();
  world.one_step();
  world.tell(What::pause, world.id_of(1), SL_NEVER);
  world.run();
  for (std::size_t i = 0; i < 2; ++i) {
    const engine::Finished* end = world.end_of(world.id_of(i));
    BOOST_CHECK_EQUAL(end->finish, std::uint32_t{SL_FINISH_DEADLINE});
    BOOST_CHECK_EQUAL(end->end_ns, end->arrival_ns + 40 * kMs);
    BOOST_CHECK_EQUAL(end->output_tokens, 0u);
  }
  check_idle(world);
}

BOOST_AUTO_TEST_CASE(intake_is_bounded) {
  Setting s;
  s.max_waiting = 4;
  s.max_sequences = 2;
  World world(s, std::vector<Ask>(8, ask(1, 30, 10)));
  for (std::size_t i = 0; i < 4; ++i) BOOST_REQUIRE(world.try_send(i));
  const auto refused = world.try_send(4);
  BOOST_REQUIRE(!refused);
  BOOST_CHECK(mentions(refused.error().message(),
                       {"too many requests", "max_waiting = 4", "4 and 1 more", "try again"}));
  world.engine().step();
  BOOST_CHECK(world.try_send(4));  // two run: two may wait more
  BOOST_CHECK(world.try_send(5));
  BOOST_CHECK(!world.try_send(6));
  Ask many = ask(2, 10, 5);
  many.spec.n = 5;
  BOOST_CHECK(mentions(why_not(world, many), {"n: expected", "max_waiting = 4", "5"}));
  while (world.engine().step()) {
  }
  BOOST_CHECK_EQUAL(world.ends().size(), 6u);
  check_idle(world);
}

BOOST_AUTO_TEST_CASE(what_can_never_fit_is_refused) {
  Setting s;
  s.blocks = 10;  // 80 tokens of KV, so 81 tokens in all
  s.context_tokens = 1000;
  World world(s, {});
  BOOST_CHECK(mentions(why_not(world, ask(1, 60, 22)),
                       {"max_tokens: ", "at most 81", "KV pool", "60 + 22", "kv_memory"}));
  BOOST_CHECK(mentions(why_not(world, ask(1, 81, {})), {"prompt: ", "at most 81"}));
  BOOST_CHECK(mentions(why_not(world, ask(1, 0, 5)), {"prompt: ", "at least 1"}));
  BOOST_CHECK(mentions(why_not(world, ask(1, 5, 0)), {"max_tokens", "at least 1"}));
  Ask none = ask(1, 5, 5);
  none.spec.n = 0;
  BOOST_CHECK(mentions(why_not(world, none), {"n: ", "1 to 128"}));
  s.blocks = 1000;
  s.context_tokens = 50;
  World short_context(s, {});
  BOOST_CHECK(mentions(why_not(short_context, ask(1, 40, 11)),
                       {"max_tokens: ", "at most 50", "context_tokens", "40 + 11"}));
}

// The largest that is not refused runs, alone in the pool; unset, max_tokens is what the pool, or the
// context, holds.
BOOST_AUTO_TEST_CASE(what_just_fits_runs) {
  for (const std::uint32_t lag : {0u, 1u})
    for (const std::uint32_t context : {1000u, 70u}) {
      Setting s;
      s.blocks = 10;
      s.context_tokens = context;
      s.lag = lag;
      const std::uint32_t longest = std::min(81u, context);
      World world(s, {ask(1, 20, longest - 20), ask(2, 25, {}), ask(3, longest - 1, 1)});
      world.run();
      check_idle(world);
      BOOST_REQUIRE_EQUAL(world.ends().size(), 3u);
      for (const engine::Finished& end : world.ends()) {
        BOOST_CHECK_EQUAL(end.finish, std::uint32_t{SL_FINISH_LENGTH});
        BOOST_CHECK_EQUAL(end.prompt_tokens + end.output_tokens, longest);
      }
    }
}

BOOST_AUTO_TEST_CASE(rules_and_tenants_reach_the_rows) {
  Setting s;
  s.tenants = {{"acme", {"k1", "k2"}, 2.5}, {"zeta", {}, 0.25}};
  requests::PriorityRule chat, bulk;
  chat.name = "chat", chat.category = "chat", chat.priority = 9, chat.service_class = 3;
  bulk.name = "bulk", bulk.min_prompt_tokens = 50, bulk.priority = -4, bulk.service_class = 1;
  s.rules = {chat, bulk};
  s.max_sequences = 1;
  std::vector<Ask> asks = {ask(1, 20, 4), ask(2, 60, 4), ask(3, 60, 4), ask(4, 20, 4)};
  asks[0].spec.key = "k2", asks[0].spec.category = "chat";
  asks[1].spec.tenant = "zeta", asks[1].spec.category = "other";
  asks[2].spec.category = "chat", asks[2].spec.priority = 2;
  World world(s, asks);
  world.one_step();
  const auto request = [&](std::size_t i) {
    return world.engine().requests().request_of(world.slots_of(world.id_of(i)).front());
  };
  struct Expected {
    std::uint32_t tenant, weight_milli, category, service_class;
    std::int32_t priority, rule;
  };
  const Expected expected[] = {
      {1, 2500, 1, 3, 9, 0}, {2, 250, 2, 1, -4, 1}, {0, 1000, 1, 3, 2, 0}, {0, 1000, 0, 0, 0, -1}};
  for (std::size_t i = 0; i < asks.size(); ++i) {
    BOOST_CHECK_EQUAL(request(i).tenant, expected[i].tenant);
    BOOST_CHECK_EQUAL(request(i).tenant_weight_milli, expected[i].weight_milli);
    BOOST_CHECK_EQUAL(request(i).category, expected[i].category);
    BOOST_CHECK_EQUAL(request(i).service_class, expected[i].service_class);
    BOOST_CHECK_EQUAL(request(i).priority, expected[i].priority);
  }
  world.run();
  for (std::size_t i = 0; i < asks.size(); ++i) {
    BOOST_CHECK_EQUAL(world.end_of(world.id_of(i))->priority_rule, expected[i].rule);
    BOOST_CHECK_EQUAL(world.end_of(world.id_of(i))->tenant, expected[i].tenant);
  }
}

// One tenant's prompt is no hit for another, nor one salt's for another within a tenant.
BOOST_AUTO_TEST_CASE(tenants_and_salts_share_no_blocks) {
  std::vector<Ask> asks(5, ask(1, 40, 4));
  for (std::size_t i = 0; i < asks.size(); ++i) asks[i].at_step = 20 * i;
  asks[1].spec.tenant = "other";
  asks[2].spec.cache_salt = "salt";
  asks[4].spec.tenant = "other";
  World world(Setting{}, asks);
  world.run();
  const std::uint32_t hits[] = {0, 0, 0, 32, 32};
  for (std::size_t i = 0; i < asks.size(); ++i)
    BOOST_CHECK_EQUAL(world.end_of(world.id_of(i))->hit_tokens, hits[i]);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
