// Sessions and programs: what follows from what, when, and with which prompt, whoever serves them and however long it takes.
#include <algorithm>
#include <map>
#include <set>

#include "helpers.hpp"

namespace serveloop::experiment::test {

namespace {

using Tokens = std::vector<requests::Token>;
using Served = std::map<std::pair<std::string, std::uint32_t>, std::vector<Issue>>;  // by (name, turn)

config::Workload sessions_config(std::uint32_t count = 50) {
  config::Workload config;
  config.source = "sessions";
  config.rate_per_second = 2;
  config.count = count;
  config.prompt = {"uniform", 0, 1, 5, 40};
  config.output = {"uniform", 0, 1, 3, 20};
  config.sessions.turns = {"uniform", 0, 1, 1, 6};
  config.sessions.think_time_s = {"exponential", 4, 1, 0, 1e6};
  return config;
}

config::Workload programs_config(std::uint32_t count = 40) {
  config::Workload config;
  config.source = "programs";
  config.rate_per_second = 1;
  config.count = count;
  config::ProgramKind& agent = config.programs["agent"];
  agent.system_tokens = 100;
  agent.stages = {"uniform", 0, 1, 2, 5};
  agent.fan_out = {"uniform", 0, 1, 1, 3};
  agent.prompt_tokens = {"fixed", 10};
  agent.output_tokens = {"fixed", 7};
  agent.tool_time_s = {"lognormal", 2, 1, 0, 1e6};
  config.programs["map"].share = 0.5;
  config.programs["map"].history = false;
  return config;
}

const std::string& name_of(const requests::RequestSpec& spec) {
  return spec.session.empty() ? spec.program : spec.session;
}

Tokens answer_of(const Issue& issue) {
  Tokens tokens;
  for (std::uint32_t i = 0; i < *issue.spec.max_tokens; ++i)
    tokens.push_back(requests::seeded_token(issue.spec.sampling.seed, i));
  return tokens;
}

// A server on which each request takes `service_ns`, all side by side. Ends come in the order of their times.
Served serve(const config::Workload& config, std::uint64_t service_ns, std::uint32_t context = kContext) {
  Workload workload = made(config, context);
  Served served;
  std::multimap<std::uint64_t, Issue> ends;
  while (workload.peek() != nullptr || !ends.empty()) {
    const Issue* next = workload.peek();
    if (next != nullptr && (ends.empty() || next->spec.arrival_ns <= ends.begin()->first)) {
      Issue issue = workload.next();
      served[{name_of(issue.spec), issue.spec.turn}].push_back(issue);
      const std::uint64_t end = issue.spec.arrival_ns + service_ns;
      ends.emplace(end, std::move(issue));
      continue;
    }
    const auto [end, issue] = *ends.begin();
    ends.erase(ends.begin());
    const Tokens answer = answer_of(issue);
    workload.on_end(issue.index, end, {true, answer});
  }
  BOOST_TEST(workload.finished());
  return served;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(chains)

BOOST_AUTO_TEST_CASE(a_turn_holds_all_before_it_with_what_was_generated) {
  const Served served = serve(sessions_config(), 1'000'000);
  std::set<std::string> names;
  std::size_t later = 0;
  for (const auto& [key, calls] : served) {
    const auto& [name, turn] = key;
    names.insert(name);
    BOOST_REQUIRE_EQUAL(calls.size(), 1u);
    const Issue& call = calls.front();
    if (turn == 0) {
      BOOST_REQUIRE(!call.parent);
      continue;
    }
    ++later;
    const Issue& before = served.at({name, turn - 1}).front();
    Tokens history = before.spec.prompt;
    const Tokens answer = answer_of(before);
    history.insert(history.end(), answer.begin(), answer.end());
    BOOST_REQUIRE_GE(call.spec.prompt.size(), history.size() + 5);
    BOOST_REQUIRE_LE(call.spec.prompt.size(), history.size() + 40);
    BOOST_REQUIRE(std::equal(history.begin(), history.end(), call.spec.prompt.begin()));
    BOOST_REQUIRE_EQUAL(*call.parent, before.index);
    BOOST_REQUIRE_GE(call.spec.arrival_ns, before.spec.arrival_ns + 1'000'000);
  }
  BOOST_TEST(names.size() == 50u);
  BOOST_TEST(later > 80u);
}

// A slower server moves arrivals, and through them the order in which calls are issued, and nothing else.
BOOST_AUTO_TEST_CASE(what_a_session_is_does_not_depend_on_who_serves_it) {
  for (const config::Workload& config : {sessions_config(), programs_config()}) {
    const Served fast = serve(config, 1'000), slow = serve(config, 90'000'000'000);
    BOOST_REQUIRE_EQUAL(fast.size(), slow.size());
    for (const auto& [key, calls] : fast) {
      const std::vector<Issue>& others = slow.at(key);
      BOOST_REQUIRE_EQUAL(calls.size(), others.size());
      for (std::size_t i = 0; i < calls.size(); ++i) {
        BOOST_REQUIRE(calls[i].spec.prompt == others[i].spec.prompt);
        BOOST_REQUIRE_EQUAL(*calls[i].spec.max_tokens, *others[i].spec.max_tokens);
        BOOST_REQUIRE_EQUAL(calls[i].spec.sampling.seed, others[i].spec.sampling.seed);
        // Each stage before it took that much longer.
        BOOST_REQUIRE_EQUAL(others[i].spec.arrival_ns - calls[i].spec.arrival_ns,
                            key.second * (90'000'000'000 - 1'000));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_rate_plays_starts_and_pauses_faster) {
  config::Workload config = sessions_config(400);
  const auto last_of = [](const Served& served) {
    std::uint64_t start = 0, pauses = 0;
    for (const auto& [key, calls] : served) {
      const std::uint64_t at = calls.front().spec.arrival_ns;
      if (key.second == 0) start = std::max(start, at);
      if (key.second > 0) pauses += at - served.at({key.first, key.second - 1}).front().spec.arrival_ns;
    }
    return std::pair(static_cast<double>(start), static_cast<double>(pauses));
  };
  const auto [start, pauses] = last_of(serve(config, 0));
  config.rate_scale = 4;
  const auto [fast_start, fast_pauses] = last_of(serve(config, 0));
  BOOST_CHECK_CLOSE(start, 200e9, 15);
  BOOST_CHECK_CLOSE(fast_start, start / 4, 0.01);
  BOOST_CHECK_CLOSE(fast_pauses, pauses / 4, 0.01);
}

BOOST_AUTO_TEST_CASE(bursts_bunch_the_starts) {
  config::Workload config = sessions_config(2000);
  config.sessions.turns = {"fixed", 1};
  config.bursts = {100, 10, 9};
  std::size_t bunched = 0;
  for (const auto& [key, calls] : serve(config, 0))
    bunched += calls.front().spec.arrival_ns % 100'000'000'000 >= 90'000'000'000 ? 1 : 0;
  BOOST_CHECK_CLOSE(static_cast<double>(bunched) / 2000, 0.5, 8);
}

// A stage's calls share the history; the next stage's prompt joins all of them, in their order.
BOOST_AUTO_TEST_CASE(a_program_fans_out_and_joins) {
  const Served served = serve(programs_config(), 5'000'000);
  std::size_t joins = 0, wide = 0;
  std::set<Tokens> openings;
  for (const auto& [key, calls] : served) {
    const auto& [name, stage] = key;
    const bool agent = name.starts_with("agent");
    BOOST_REQUIRE_EQUAL(calls.front().class_name, agent ? "agent" : "map");
    BOOST_REQUIRE_EQUAL(calls.front().spec.category, calls.front().class_name);
    if (!agent) {
      BOOST_REQUIRE_EQUAL(calls.size(), 1u);
      BOOST_REQUIRE_EQUAL(calls.front().spec.prompt.size(), 200u);  // new tokens alone
      continue;
    }
    wide += calls.size() > 1 ? 1 : 0;
    openings.emplace(calls.front().spec.prompt.begin(), calls.front().spec.prompt.begin() + 100);
    for (const Issue& call : calls) BOOST_REQUIRE_EQUAL(call.spec.arrival_ns, calls.front().spec.arrival_ns);
    if (stage == 0) continue;
    ++joins;
    const std::vector<Issue>& before = served.at({name, stage - 1});
    Tokens history(before.front().spec.prompt.begin(), before.front().spec.prompt.end() - 10);
    for (const Issue& branch : before) {
      history.insert(history.end(), branch.spec.prompt.end() - 10, branch.spec.prompt.end());
      const Tokens answer = answer_of(branch);
      history.insert(history.end(), answer.begin(), answer.end());
    }
    for (const Issue& call : calls) {
      BOOST_REQUIRE_EQUAL(call.spec.prompt.size(), history.size() + 10);
      BOOST_REQUIRE(std::equal(history.begin(), history.end(), call.spec.prompt.begin()));
      BOOST_REQUIRE(
          std::any_of(before.begin(), before.end(), [&](const Issue& b) { return b.index == *call.parent; }));
    }
  }
  BOOST_TEST(openings.size() == 1u);
  BOOST_TEST(joins > 30u);
  BOOST_TEST(wide > 20u);
}

BOOST_AUTO_TEST_CASE(a_program_takes_from_its_first_arrival_to_its_last_end) {
  config::Workload config = programs_config(10);
  config.programs.erase("map");
  config.programs["agent"].stages = {"fixed", 3};
  config.programs["agent"].tool_time_s = {"fixed", 2};
  Workload workload = made(config);
  while (workload.peek() != nullptr) {
    std::vector<Issue> stage;
    const std::uint64_t at = workload.peek()->spec.arrival_ns;
    while (workload.peek() != nullptr && workload.peek()->spec.arrival_ns == at)
      stage.push_back(workload.next());
    for (const Issue& issue : stage)
      workload.on_end(issue.index, at + (&issue == &stage.back() ? 700'000'000 : 100),
                      {true, answer_of(issue)});
  }
  BOOST_REQUIRE_EQUAL(workload.chains()->completed_ns().size(), 10u);
  for (const std::uint64_t ns : workload.chains()->completed_ns()) BOOST_TEST(ns == 6'100'000'000u);
  BOOST_TEST(workload.chains()->broken() == 0u);
}

BOOST_AUTO_TEST_CASE(what_was_refused_or_cut_has_no_next_turn) {
  config::Workload config = sessions_config(20);
  config.sessions.turns = {"fixed", 3};
  Workload workload = made(config);
  std::uint64_t calls = 0;
  while (workload.peek() != nullptr) {
    const Issue issue = workload.next();
    const bool whole = issue.spec.turn == 0;  // each second turn is cut
    workload.on_end(issue.index, issue.spec.arrival_ns, {whole, answer_of(issue)});
    ++calls;
  }
  BOOST_TEST(calls == 40u);
  BOOST_TEST(workload.finished());
  BOOST_TEST(workload.chains()->broken() == 20u);
  BOOST_TEST(workload.chains()->completed_ns().empty());
}

BOOST_AUTO_TEST_CASE(a_session_ends_where_the_context_is_full) {
  config::Workload config = sessions_config(30);
  config.prompt = {"fixed", 30};
  config.output = {"fixed", 20};
  config.sessions.turns = {"fixed", 5};
  Workload workload = made(config, 160);  // turns of 50, 100, 150, and no fourth
  std::uint64_t calls = 0;
  while (workload.peek() != nullptr) {
    const Issue issue = workload.next();
    BOOST_REQUIRE_LE(issue.spec.prompt.size() + *issue.spec.max_tokens, 160u);
    workload.on_end(issue.index, issue.spec.arrival_ns, {true, answer_of(issue)});
    ++calls;
  }
  BOOST_TEST(calls == 90u);
  BOOST_TEST(workload.dropped_total() == 60u);
  BOOST_TEST(workload.dropped().at("context") == 60u);
  BOOST_TEST(workload.chains()->broken() == 30u);
  const std::string& first = workload.first_dropped();
  BOOST_TEST(first.find("turn 4 of session") != std::string::npos, first);
  BOOST_TEST(first.find("a prompt of 180 and an output of 20 tokens, beyond engine.context_tokens = 160") !=
                 std::string::npos,
             first);
}

BOOST_AUTO_TEST_CASE(a_turn_that_the_pool_can_never_hold_is_named_before_anything_runs) {
  config::Workload config = sessions_config(30);
  config.prompt = {"fixed", 30};
  config.output = {"fixed", 20};
  config.sessions.turns = {"fixed", 5};
  const Workload workload = made(config);
  BOOST_TEST(workload.check_pool(16, 16).has_value());  // 250 tokens, KV for 249
  const Status held = workload.check_pool(15, 16);
  BOOST_REQUIRE(!held.has_value());
  const std::string error = held.error().message();
  for (const char* part :
       {"turn 5 of session 1: a request that the KV pool can never hold", "at most 15 blocks",
        "found 16 blocks for a prompt of 230 and an output of 20 tokens", "engine.context_tokens"})
    BOOST_TEST(error.find(part) != std::string::npos, part << " in " << error);
  BOOST_TEST(made(config, 240).check_pool(15, 16).has_value());  // that turn is dropped
}

BOOST_AUTO_TEST_CASE(a_session_is_of_one_tenant_and_class) {
  config::Workload config = sessions_config(200);
  config.tenants = {{"a", 1}, {"b", 1}};
  config.classes["x"].priority = 3;
  config.classes["y"];
  config.shared_prefix = {2, 5, 1.0};
  std::map<std::string, std::set<std::string>> labels;
  std::set<Tokens> openings;
  for (const auto& [key, calls] : serve(config, 1000)) {
    const Issue& call = calls.front();
    labels[key.first].insert(call.spec.tenant + call.class_name);
    openings.emplace(call.spec.prompt.begin(), call.spec.prompt.begin() + 5);
  }
  std::set<std::string> all;
  for (const auto& [name, of_one] : labels) {
    BOOST_REQUIRE_EQUAL(of_one.size(), 1u);
    all.insert(*of_one.begin());
  }
  BOOST_TEST(all.size() == 4u);
  BOOST_TEST(openings.size() == 2u);
}

BOOST_AUTO_TEST_CASE(new_tokens_are_of_the_models_vocabulary) {
  Result<Workload> workload = Workload::make(sessions_config(5), kContext, 50);
  BOOST_REQUIRE(workload.has_value());
  for (const requests::Token token : workload->next().spec.prompt) BOOST_REQUIRE_LT(token, 50u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::experiment::test
