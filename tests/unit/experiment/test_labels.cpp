// Labels are drawn on top: from a stated seed, each from its own stream, in the stated shares.
#include <cmath>
#include <map>
#include <set>

#include "helpers.hpp"

namespace serveloop::experiment::test {

namespace {

using Specs = std::vector<requests::RequestSpec>;

bool same_requests(const Specs& a, const Specs& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i].arrival_ns != b[i].arrival_ns || a[i].pieces != b[i].pieces ||
        a[i].max_tokens != b[i].max_tokens || a[i].sampling.seed != b[i].sampling.seed)
      return false;
  return true;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(labels)

BOOST_AUTO_TEST_CASE(a_seed_states_everything) {
  config::Workload config = synthetic_config();
  config.tenants = {{"a", 1}, {"b", 2}};
  const Specs once = specs_of(config), again = specs_of(config);
  BOOST_TEST(same_requests(once, again));
  for (std::size_t i = 0; i < once.size(); ++i) BOOST_REQUIRE_EQUAL(once[i].tenant, again[i].tenant);
  config.seed = 2;
  BOOST_TEST(!same_requests(once, specs_of(config)));
}

// Recorded experiments depend on these.
BOOST_AUTO_TEST_CASE(first_requests_are_fixed) {
  const Specs specs = specs_of(synthetic_config(3));
  const std::uint64_t arrivals[] = {289863511, 425527670, 457192757};
  const std::uint32_t prompt[] = {357, 451, 126}, output[] = {56, 217, 85};
  const std::uint64_t seeds[] = {0xfc75df2b6dd15199u, 0x861161f18300e0c5u, 0xde10814cc5a33d5bu};
  for (std::size_t i = 0; i < 3; ++i) {
    BOOST_TEST(specs[i].arrival_ns == arrivals[i]);
    BOOST_TEST(specs[i].prompt_tokens() == prompt[i]);
    BOOST_TEST(*specs[i].max_tokens == output[i]);
    BOOST_TEST(specs[i].sampling.seed == seeds[i]);
  }
}

BOOST_AUTO_TEST_CASE(one_label_does_not_move_another) {
  config::Workload config = synthetic_config();
  const Specs plain = specs_of(config);
  config.categories = {{"chat", 1}, {"code", 1}};
  const Specs with_categories = specs_of(config);
  BOOST_TEST(same_requests(plain, with_categories));
  config.tenants = {{"a", 1}, {"b", 2}};
  config.deadlines = {100.0, 20.0, 5000.0, 0.5};
  config.n = 3;
  const Specs with_all = specs_of(config);
  BOOST_TEST(same_requests(plain, with_all));
  for (std::size_t i = 0; i < plain.size(); ++i)
    BOOST_REQUIRE_EQUAL(with_all[i].category, with_categories[i].category);
  config.shared_prefix = {4, 64, 1.0};
  const Specs with_prefix = specs_of(config);
  for (std::size_t i = 0; i < plain.size(); ++i) {
    BOOST_REQUIRE_EQUAL(with_prefix[i].prompt_tokens(), plain[i].prompt_tokens());
    BOOST_REQUIRE_EQUAL(with_prefix[i].tenant, with_all[i].tenant);
  }
}

BOOST_AUTO_TEST_CASE(tenants_and_categories_come_by_share) {
  config::Workload config = synthetic_config(20'000);
  config.tenants = {{"big", 3}, {"none", 0}, {"small", 1}};
  config.categories = {{"chat", 1}, {"code", 1}};
  std::map<std::string, int> tenants, both;
  for (const auto& spec : specs_of(config)) {
    ++tenants[spec.tenant];
    ++both[spec.tenant + "/" + spec.category];
  }
  BOOST_TEST(tenants.size() == 2u);
  BOOST_TEST(std::abs(tenants["big"] - 15'000) < 300);
  BOOST_TEST(std::abs(both["big/chat"] - 7'500) < 300);  // independent
}

BOOST_AUTO_TEST_CASE(deadlines_come_by_share_and_are_relative) {
  config::Workload config = synthetic_config(10'000);
  for (const auto& spec : specs_of(config))
    BOOST_REQUIRE((spec.ttft_deadline_ns == SL_NEVER && spec.tbt_target_ns == SL_NEVER &&
                   spec.end_deadline_ns == SL_NEVER));
  config.deadlines = {200.0, std::nullopt, 1500.5, 0.25};
  int with = 0;
  for (const auto& spec : specs_of(config)) {
    BOOST_REQUIRE(spec.tbt_target_ns == SL_NEVER);
    if (spec.ttft_deadline_ns == SL_NEVER) continue;
    ++with;
    BOOST_REQUIRE_EQUAL(spec.ttft_deadline_ns, 200'000'000u);
    BOOST_REQUIRE_EQUAL(spec.end_deadline_ns, 1'500'500'000u);
  }
  BOOST_TEST(std::abs(with - 2500) < 200);
}

BOOST_AUTO_TEST_CASE(shared_prefixes_open_prompts) {
  config::Workload config = synthetic_config(10'000);
  config.prompt = {"uniform", 0, 1, 1, 400};
  const Specs plain = specs_of(config);
  config.shared_prefix = {8, 100, 0.5};
  const Specs specs = specs_of(config);
  std::map<std::uint64_t, int> groups;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    BOOST_REQUIRE_EQUAL(specs[i].prompt_tokens(), plain[i].prompt_tokens());
    if (specs[i].pieces[0].seed == plain[i].pieces[0].seed) continue;
    ++groups[specs[i].pieces[0].seed];
    BOOST_REQUIRE_EQUAL(specs[i].pieces[0].tokens, std::min(100u, plain[i].prompt_tokens()));
    BOOST_REQUIRE_EQUAL(specs[i].pieces.size(), plain[i].prompt_tokens() > 100 ? 2u : 1u);
  }
  BOOST_TEST(groups.size() == 8u);
  for (const auto& [seed, count] : groups) BOOST_TEST(std::abs(count - 625) < 120);
}

BOOST_AUTO_TEST_CASE(a_shared_prefix_before_a_traces_own) {
  config::Workload config = trace_config("mooncake_synthetic_trace.jsonl");
  config.limit = 200;
  const Specs plain = specs_of(config, 1 << 20);
  config.shared_prefix = {1, 700, 1.0};
  const Specs specs = specs_of(config, 1 << 20);
  for (std::size_t i = 0; i < specs.size(); ++i) {
    BOOST_REQUIRE_EQUAL(specs[i].prompt_tokens(), plain[i].prompt_tokens());
    BOOST_REQUIRE_EQUAL(specs[i].pieces[0].seed, specs[0].pieces[0].seed);
    BOOST_REQUIRE_EQUAL(specs[i].pieces[0].tokens, std::min(700u, plain[i].prompt_tokens()));
    if (plain[i].prompt_tokens() >= 1024) BOOST_REQUIRE_EQUAL(specs[i].pieces[1].tokens, 1024u - 700u);
  }
}

BOOST_AUTO_TEST_CASE(n_is_stated) {
  config::Workload config = synthetic_config(5);
  config.n = 4;
  for (const auto& spec : specs_of(config)) BOOST_TEST(spec.n == 4u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::experiment::test
