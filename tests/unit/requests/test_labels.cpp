// Tenants by key or by name, categories by first sight, and the first rule whose conditions all hold.
#include <boost/test/unit_test.hpp>

#include "requests/labels.hpp"

namespace serveloop::requests {

namespace {

RequestSpec spec(std::uint32_t prompt_tokens = 10) {
  RequestSpec s;
  s.pieces = {{1, prompt_tokens}};
  return s;
}

PriorityRule rule(const char* name, std::int32_t priority) {
  PriorityRule r;
  r.name = name;
  r.priority = priority;
  return r;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(labels)

BOOST_AUTO_TEST_CASE(nothing_stated_is_the_default_tenant) {
  Labeler labeler({}, {});
  const Labels l = labeler.label(spec());
  BOOST_CHECK_EQUAL(l.tenant, 0u);
  BOOST_CHECK_EQUAL(l.tenant_weight_milli, 1000u);
  BOOST_CHECK_EQUAL(l.category, 0u);
  BOOST_CHECK_EQUAL(l.rule, -1);
  BOOST_CHECK_EQUAL(labeler.tenant_name(0), "default");
  BOOST_CHECK_EQUAL(labeler.tenant_name_of(spec()), "default");
}

BOOST_AUTO_TEST_CASE(a_key_names_its_tenant_whatever_the_request_says) {
  Labeler labeler({{"acme", {"k1", "k2"}, 2.0}, {"zeta", {"k3"}, 0.5}}, {});
  RequestSpec s = spec();
  s.key = "k2", s.tenant = "zeta";
  BOOST_CHECK_EQUAL(labeler.label(s).tenant, 1u);
  BOOST_CHECK_EQUAL(labeler.label(s).tenant_weight_milli, 2000u);
  BOOST_CHECK_EQUAL(labeler.tenant_name_of(s), "acme");
  s.key = "unknown";
  BOOST_CHECK_EQUAL(labeler.label(s).tenant, 2u);
  BOOST_CHECK_EQUAL(labeler.tenant_name_of(s), "zeta");
}

BOOST_AUTO_TEST_CASE(names_beyond_the_most_share_a_number) {
  Labeler labeler({}, {});
  RequestSpec s = spec();
  std::uint32_t tenant = 0, category = 0;
  for (std::uint32_t i = 0; i < Labeler::kMostNames; ++i) {
    s.tenant = s.category = "x" + std::to_string(i);
    const Labels l = labeler.label(s);
    tenant = l.tenant, category = l.category;
  }
  const auto next = [&](const char* name) {
    s.tenant = s.category = name;
    const Labels l = labeler.label(s);
    BOOST_CHECK_EQUAL(l.tenant, tenant + 1);
    BOOST_CHECK_EQUAL(l.category, category + 1);
    BOOST_CHECK_EQUAL(labeler.tenant_name_of(s), name);  // the prefix cache still tells them apart
  };
  next("one more");
  next("and another");
  s.tenant = s.category = "x0";
  BOOST_CHECK_EQUAL(labeler.label(s).tenant, 1u);
  BOOST_CHECK_EQUAL(labeler.label(s).category, 1u);
}

BOOST_AUTO_TEST_CASE(unknown_tenants_and_categories_are_numbered_by_first_sight) {
  Labeler labeler({{"acme", {}, 1.0}}, {});
  RequestSpec s = spec();
  const auto tenant = [&](const char* name) { return s.tenant = name, labeler.label(s).tenant; };
  BOOST_CHECK_EQUAL(tenant("new"), 2u);
  BOOST_CHECK_EQUAL(tenant("newer"), 3u);
  BOOST_CHECK_EQUAL(tenant("new"), 2u);
  BOOST_CHECK_EQUAL(labeler.tenant_name(3), "newer");
  const auto category = [&](const char* name) { return s.category = name, labeler.label(s).category; };
  BOOST_CHECK_EQUAL(category("chat"), 1u);
  BOOST_CHECK_EQUAL(category("code"), 2u);
  BOOST_CHECK_EQUAL(category("chat"), 1u);
  BOOST_CHECK_EQUAL(category(""), 0u);
}

BOOST_AUTO_TEST_CASE(the_default_tenant_may_be_configured) {
  Labeler labeler({{"default", {"k"}, 3.0}}, {});
  BOOST_CHECK_EQUAL(labeler.label(spec()).tenant_weight_milli, 3000u);
  RequestSpec s = spec();
  s.key = "k";
  BOOST_CHECK_EQUAL(labeler.label(s).tenant, 0u);
}

BOOST_AUTO_TEST_CASE(the_first_rule_that_holds_wins) {
  PriorityRule by_key = rule("key", 1), by_tenant = rule("tenant", 2), by_category = rule("category", 3),
               short_ones = rule("short", 4), between = rule("between", 5);
  by_key.key = "k1";
  by_tenant.tenant = "acme";
  by_category.category = "chat";
  short_ones.max_prompt_tokens = 10;
  between.min_prompt_tokens = 20, between.max_prompt_tokens = 30, between.service_class = 6;
  Labeler labeler({{"acme", {"k1", "k2"}, 1.0}}, {by_key, by_tenant, by_category, short_ones, between});
  const auto fired = [&](std::uint32_t tokens, const char* key, const char* category) {
    RequestSpec s = spec(tokens);
    s.key = key, s.category = category;
    return labeler.label(s);
  };
  BOOST_CHECK_EQUAL(fired(5, "k1", "chat").rule, 0);
  BOOST_CHECK_EQUAL(fired(5, "k2", "chat").rule, 1);  // by its key's tenant
  BOOST_CHECK_EQUAL(fired(5, "", "chat").rule, 2);
  BOOST_CHECK_EQUAL(fired(10, "", "").rule, 3);
  BOOST_CHECK_EQUAL(fired(11, "", "").rule, -1);
  BOOST_CHECK_EQUAL(fired(19, "", "").rule, -1);
  BOOST_CHECK_EQUAL(fired(20, "", "").rule, 4);
  BOOST_CHECK_EQUAL(fired(30, "", "").priority, 5);
  BOOST_CHECK_EQUAL(fired(30, "", "").service_class, 6u);
  BOOST_CHECK_EQUAL(fired(31, "", "").rule, -1);
  BOOST_CHECK_EQUAL(labeler.rule(4).name, "between");
}

BOOST_AUTO_TEST_CASE(all_conditions_of_a_rule_must_hold_and_a_requests_own_priority_wins) {
  PriorityRule both = rule("both", 9);
  both.tenant = "acme", both.category = "chat";
  both.service_class = 2;
  Labeler labeler({{"acme", {}, 1.0}}, {both});
  RequestSpec s = spec();
  s.tenant = "acme";
  BOOST_CHECK_EQUAL(labeler.label(s).rule, -1);
  s.category = "chat";
  BOOST_CHECK_EQUAL(labeler.label(s).priority, 9);
  s.priority = -1;
  BOOST_CHECK_EQUAL(labeler.label(s).priority, -1);
  BOOST_CHECK_EQUAL(labeler.label(s).rule, 0);  // it fired all the same: the class is its
  BOOST_CHECK_EQUAL(labeler.label(s).service_class, 2u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::requests
