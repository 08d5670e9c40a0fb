// One's own log as a workload: what arrived comes again, without a token of it; read directly or from the file that is made
// of it, it is the same.
#include <fstream>
#include <iterator>
#include <set>

#include "experiment/log_trace.hpp"
#include "experiment/workload.hpp"
#include "experiment/workload_file.hpp"
#include "runs.hpp"

namespace serveloop::test {
namespace {

using experiment::Issue;
using experiment::Trace;
using experiment::TraceRow;

Scene scene() {
  Scene scene;
  scene.executor = "hash";
  scene.log = "run.slog";
  scene.tenants["shop"].keys = {"sk-shop"};
  return scene;
}

Trace trace_of(const std::string& path) {
  Result<Trace> trace = experiment::trace_of_log(path);
  if (!trace) BOOST_FAIL(trace.error().message());
  return std::move(*trace);
}

std::vector<Issue> issues_of(const std::string& path, const char* format) {
  config::Workload config;
  config.source = "trace";
  config.trace = path;
  config.format = format;
  auto workload = experiment::Workload::make(config, 131072);
  if (!workload) BOOST_FAIL(workload.error().message());
  std::vector<Issue> issues;
  while (workload->peek() != nullptr) issues.push_back(workload->next());
  return issues;
}

// Tokens that no count, time or id of so small a run can look like.
requests::RequestSpec literal(std::uint32_t tokens, std::uint32_t from, std::uint32_t max_tokens) {
  requests::RequestSpec spec;
  for (std::uint32_t i = 0; i < tokens; ++i) spec.prompt.push_back(4'000'000'000u + from + i);
  spec.max_tokens = max_tokens;
  return spec;
}

std::vector<std::uint64_t> ids_of(const TraceRow& row) {
  std::vector<std::uint64_t> ids;
  for (const experiment::BlockRun& run : row.blocks)
    for (std::uint32_t k = 0; k < run.count; ++k) ids.push_back(run.first + k);
  return ids;
}

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// Writes the file of a log and returns its path.
std::string shared(const std::string& log, const TempFolder& folder) {
  const std::string path = folder.path("shared.jsonl");
  std::ofstream(path) << experiment::workload_file(trace_of(log));
  return path;
}

void same_issues(const std::vector<Issue>& a, const std::vector<Issue>& b) {
  BOOST_REQUIRE_EQUAL(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    engine::Message one, other;  // as the log would hold them: all of the spec
    for (auto [message, issue] : {std::pair(&one, &a[i]), std::pair(&other, &b[i])}) {
      message->what = engine::Message::What::arrive;
      message->arrival = std::make_shared<engine::Arrival>();
      message->arrival->spec = issue->spec;
    }
    observe::Writer first, second;
    engine::encode(one, first);
    engine::encode(other, second);
    BOOST_REQUIRE(
        std::equal(first.bytes().begin(), first.bytes().end(), second.bytes().begin(), second.bytes().end()));
    BOOST_REQUIRE(a[i].parent == b[i].parent);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(log_traces)

// In blocks of 8 tokens: which are equal up to their end has the same id, and no other.
BOOST_AUTO_TEST_CASE(prompts_share_by_block_what_they_shared) {
  Stage stage(scene());
  requests::RequestSpec seeded;
  seeded.pieces = {{7, 20}};
  seeded.max_tokens = 3;
  stage.at(0, [&] {
    stage.request(literal(20, 0, 5));
    stage.request(literal(28, 0, 6));  // the first 20 alike
    stage.request(literal(20, 1, 7));  // none
    stage.request(literal(20, 0, 8));  // all
    stage.request(seeded);
    stage.request(seeded);
    requests::RequestSpec other = literal(20, 0, 4);  // all but its first token
    other.prompt[0] = 4'000'000'999u;
    stage.request(other);
  });
  stage.run();
  stage.finish_log();
  const Trace trace = trace_of(stage.log_path());
  BOOST_TEST(trace.block_tokens == 8u);
  BOOST_REQUIRE_EQUAL(trace.rows.size(), 7u);
  using Ids = std::vector<std::uint64_t>;
  BOOST_TEST((ids_of(trace.rows[0]) == Ids{0, 1, 2}));
  BOOST_TEST((ids_of(trace.rows[1]) == Ids{0, 1, 3, 4}));
  BOOST_TEST((ids_of(trace.rows[2]) == Ids{5, 6, 7}));
  BOOST_TEST((ids_of(trace.rows[3]) == Ids{0, 1, 2}));
  BOOST_TEST((ids_of(trace.rows[4]) == Ids{8, 9, 10}));
  BOOST_TEST((ids_of(trace.rows[5]) == Ids{8, 9, 10}));
  BOOST_TEST((ids_of(trace.rows[6]) == Ids{11, 12, 13}));
  const std::uint32_t outputs[] = {5, 6, 7, 8, 3, 3, 4};
  for (std::size_t i = 0; i < 7; ++i) BOOST_TEST(trace.rows[i].output_tokens == outputs[i]);
}

BOOST_AUTO_TEST_CASE(labels_come_again_and_no_token_or_name) {
  const TempFolder folder;
  Stage stage(scene());
  stage.at(0, [&] {
    requests::RequestSpec spec = literal(30, 0, 5);
    spec.key = "sk-shop";
    spec.session = "alice@example.com";
    spec.cache_salt = "of alice";
    spec.turn = 1;
    spec.priority = -3;
    spec.ttft_deadline_ns = 1'000'000'000'000;
    spec.predicted_p50 = 11;
    const std::uint64_t first = stage.request(spec);
    spec = literal(40, 0, 4);
    spec.tenant = "research";
    spec.category = "agent";
    spec.session = "alice@example.com";
    spec.program = "her secret plan";
    spec.parent = first;
    spec.n = 2;
    spec.hints = {{99, 0.25}};
    spec.retention = {{0, 16, 50, 0, 7}};
    stage.wait(5'000);
    stage.request(spec);
  });
  stage.run();
  stage.finish_log();
  const std::string path = shared(stage.log_path(), folder), text = text_of(path);
  for (const std::string secret : {"4000000", "alice", "secret", "sk-", "key:"})
    BOOST_TEST(text.find(secret) == std::string::npos, secret << " in " << text);
  const auto issues = issues_of(stage.log_path(), "step_log");
  same_issues(issues, issues_of(path, "serveloop"));
  BOOST_REQUIRE_EQUAL(issues.size(), 2u);
  const requests::RequestSpec &a = issues[0].spec, &b = issues[1].spec;
  BOOST_TEST(
      (a.tenant == "shop" && b.tenant == "research" && b.category == "agent"));  // the key named the first
  BOOST_TEST((a.session == "session 1" && b.session == "session 1" && b.program == "program 1"));
  BOOST_TEST(
      (a.turn == 1 && *a.priority == -3 && a.predicted_p50 == 11 && a.ttft_deadline_ns == 1'000'000'000'000));
  BOOST_TEST((a.cache_salt == "salt 1" && b.cache_salt.empty()));
  BOOST_TEST((b.n == 2 && b.hints.size() == 1 && b.hints[0].value == 0.25 && b.retention.size() == 1));
  BOOST_TEST((a.arrival_ns == 0 && b.arrival_ns == 5'000));
  BOOST_TEST((!issues[0].parent && issues[1].parent == 0));
  BOOST_TEST((*a.max_tokens == 5 && *b.max_tokens == 4));
}

// A load of everything: cancels, deadlines, stops, failed steps, swaps.
BOOST_AUTO_TEST_CASE(of_any_log_both_formats_give_equal_requests) {
  for (const std::uint64_t seed : {3u, 4u}) {
    const TempFolder folder;
    Scene mixed = scene();
    mixed.blocks = 120;
    mixed.lag = 1;
    Stage stage(mixed);
    script_mixed_load(stage, seed, 250);
    stage.run();
    stage.finish_log();
    const auto issues = issues_of(stage.log_path(), "step_log");
    BOOST_TEST(issues.size() > 150u);
    same_issues(issues, issues_of(shared(stage.log_path(), folder), "serveloop"));
  }
}

// Cut short, it has the length that it got; without a token it is left out and counted.
BOOST_AUTO_TEST_CASE(a_cancelled_request_has_the_tokens_that_it_got) {
  Stage stage(scene());
  std::uint64_t slow = 0, late = 0;
  stage.at(0, [&] { slow = stage.request(literal(10, 0, 100)); });
  stage.at(8, [&] { stage.tell(engine::Message::What::cancel, slow); });
  stage.at(9, [&] {
    late = stage.request(literal(10, 50, 100));
    stage.tell(engine::Message::What::cancel, late);
  });
  stage.run();
  stage.finish_log();
  const Trace trace = trace_of(stage.log_path());
  BOOST_REQUIRE_EQUAL(trace.rows.size(), 1u);
  BOOST_TEST(trace.rows[0].output_tokens == stage.end_of(slow).output_tokens);
  BOOST_TEST((trace.rows[0].output_tokens > 3 && trace.rows[0].output_tokens < 12));
  BOOST_TEST(trace.unanswered == 1u);
  config::Workload config;
  config.source = "trace";
  config.trace = stage.log_path();
  config.format = "step_log";
  const auto workload = experiment::Workload::make(config, 131072);
  BOOST_TEST(workload->dropped().at("unanswered") == 1u);
  BOOST_TEST(workload->first_dropped().ends_with("requests that got no token when they were recorded"));
}

// The circle: a run of sessions, logged, played again from its log, and logged again. Arrivals, lengths and labels stay,
// so the second log makes the same file.
BOOST_AUTO_TEST_CASE(the_workload_of_a_run_of_a_workload_is_that_workload) {
  const TempFolder folder;
  config::Config config = simulated_config(folder);
  config.workload.source = "sessions";
  config.workload.rate_per_second = 5;
  config.workload.count = 20;
  config.workload.prompt = {"uniform", 1, 1, 5, 60};
  config.workload.output = {"uniform", 1, 1, 2, 30};
  config.workload.tenants = {{"a", 1}, {"b", 1}};
  config.workload.predictions.noise = 0.3;
  config.observe.log = folder.path("first.slog");
  run_of(config);
  const std::string once = experiment::workload_file(trace_of(config.observe.log));
  config::Workload again;
  again.source = "trace";
  again.trace = folder.path("shared.jsonl");
  again.format = "serveloop";
  std::ofstream(again.trace) << once;
  config.workload = again;
  config.observe.log = folder.path("second.slog");
  run_of(config);
  BOOST_TEST(experiment::workload_file(trace_of(config.observe.log)) == once);
}

BOOST_AUTO_TEST_CASE(no_log_or_a_damaged_one_is_refused) {
  const TempFolder folder;
  const std::string path = folder.path("not.slog");
  std::ofstream(path) << "no log";
  const auto trace = experiment::trace_of_log(path);
  BOOST_REQUIRE(!trace.has_value());
  BOOST_TEST(trace.error().message().find(path) != std::string::npos);
  BOOST_TEST(!experiment::trace_of_log(folder.path("none.slog")).has_value());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::test
