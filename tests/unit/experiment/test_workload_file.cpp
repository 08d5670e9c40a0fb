// The file of requests that is shared: what is written reads back, and what is wrong in one is named.
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "experiment/workload_file.hpp"
#include "helpers.hpp"

namespace serveloop::experiment::test {

namespace {

constexpr const char* kHeader = "{\"serveloop_workload\": 1, \"block_tokens\": 16}\n";
constexpr const char* kRow = "{\"arrival_ns\": 5, \"prompt_tokens\": 40, \"output_tokens\": 7}\n";

std::string error_of(const std::string& text) {
  const Result<Trace> trace = parse_workload_file(text, "w.jsonl");
  return trace ? "none" : trace.error().message();
}

std::string row_error(const std::string& members) {
  return error_of(std::string(kHeader) + "{\"arrival_ns\": 5, \"prompt_tokens\": 40, \"output_tokens\": 7, " +
                  members + "}");
}

Trace everything() {
  Trace trace;
  trace.block_tokens = 32;
  trace.unanswered = 3;
  trace.rows = {{0, 70, 9, {{0, 2}, {UINT64_MAX - 1, 1}}, 2, 0}, {std::uint64_t{1} << 60, 1, 1, {}, 3, 1}};
  trace.labels.resize(2);
  trace.labels[1].id = 17;
  RowLabels& l = trace.labels[0];
  l.id = 4;
  l.parent = 2;
  l.session = 1;
  l.program = 2;
  l.cache_salt = 3;
  l.turn = 5;
  l.n = 2;
  l.tenant = "the \"shop\"";
  l.category = "gespr\u00e4ch";
  l.priority = -7;
  l.ttft_deadline_ns = 1;
  l.tbt_target_ns = 2;
  l.end_deadline_ns = 3;
  l.predicted_p50 = 11;
  l.predicted_p90 = 12;
  l.predicted_p99 = 13;
  l.hints = {{UINT64_MAX, 0.1}, {1, -3}};
  l.retention = {{0, 16, 80, 1, 5'000'000'000}};
  return trace;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(workload_files)

// Written, read and written again it is the same text; and each member arrives where it was.
BOOST_AUTO_TEST_CASE(what_is_written_reads_back) {
  const Trace trace = everything();
  const std::string text = workload_file(trace);
  const Result<Trace> again = parse_workload_file(text, "t");
  BOOST_REQUIRE_MESSAGE(again.has_value(), (again ? "" : again.error().message()));
  BOOST_TEST(workload_file(*again) == text);
  BOOST_TEST((again->rows == trace.rows));
  BOOST_TEST(again->block_tokens == 32u);
  BOOST_TEST(again->unanswered == 3u);
  const RowLabels &a = trace.labels[0], &b = again->labels[0];
  BOOST_TEST((a.id == b.id && a.parent == b.parent && a.session == b.session && a.program == b.program));
  BOOST_TEST((a.cache_salt == b.cache_salt && a.turn == b.turn && a.n == b.n && a.tenant == b.tenant));
  BOOST_TEST((a.category == b.category && a.priority == b.priority));
  BOOST_TEST((a.ttft_deadline_ns == b.ttft_deadline_ns && a.tbt_target_ns == b.tbt_target_ns &&
              a.end_deadline_ns == b.end_deadline_ns));
  BOOST_TEST((a.predicted_p50 == b.predicted_p50 && a.predicted_p90 == b.predicted_p90 &&
              a.predicted_p99 == b.predicted_p99));
  BOOST_REQUIRE_EQUAL(b.hints.size(), 2u);
  BOOST_TEST((b.hints[0].key == UINT64_MAX && b.hints[0].value == 0.1 && b.hints[1].value == -3));
  BOOST_REQUIRE_EQUAL(b.retention.size(), 1u);
  BOOST_TEST((b.retention[0].to_token == 16 && b.retention[0].tier == 1 &&
              b.retention[0].duration_ns == 5'000'000'000));
  BOOST_TEST((again->labels[1].id == 17 && again->labels[1].priority == std::nullopt &&
              again->labels[1].end_deadline_ns == SL_NEVER));
}

BOOST_AUTO_TEST_CASE(what_is_wrong_is_named) {
  const std::string wrong[][2] = {
      {error_of(""), "w.jsonl: expected at least one request, found none"},
      {error_of(kHeader), "w.jsonl: expected at least one request, found none"},
      {error_of(kRow), "w.jsonl:1: serveloop_workload: expected a whole number, 1 to 1, found nothing"},
      {error_of("{\"serveloop_workload\": 2, \"block_tokens\": 16}"),
       "w.jsonl:1: serveloop_workload: expected a whole number, 1 to 1, found 2"},
      {error_of("{\"serveloop_workload\": 1}"),
       "w.jsonl:1: block_tokens: expected a whole number, 1 to 1048576, found nothing"},
      {error_of(std::string(kHeader) + "7"), "w.jsonl:2: line: expected an object of JSON, found 7"},
      {error_of(std::string(kHeader) + "{"),
       "w.jsonl:2: line: expected an object of JSON, found something else"},
      {error_of(std::string(kHeader) + "\n{}"),
       "w.jsonl:3: arrival_ns: expected a whole number, 0 to 4611686018427387904, found nothing"},
      {row_error("\"prompt\": [1]"), "w.jsonl:2: unknown key 'prompt'; did you mean 'prompt_tokens'?"},
      {row_error("\"n\": 0"), "w.jsonl:2: n: expected a whole number, 1 to 128, found 0"},
      {row_error("\"n\": 1.5"), "w.jsonl:2: n: expected a whole number, 1 to 128, found 1.5"},
      {row_error("\"priority\": -1000001"),
       "w.jsonl:2: priority: expected a whole number, -1000000 to 1000000, found -1000001"},
      {row_error("\"tenant\": \"a\\u001b[2J\""),
       "w.jsonl:2: tenant: expected a name of at most 256 bytes, without control characters, found "
       "\"a\\u001b[2J\""},
      {row_error("\"blocks\": [[0, 2]]"),
       "w.jsonl:2: blocks: expected 3 in all, one for every 16 of 40 tokens, found 2"},
      {row_error("\"blocks\": [[0, 4000000000]]"),
       "w.jsonl:2: blocks: expected a whole number, 1 to 268435456, found 4000000000"},
      {row_error("\"blocks\": [0, 1, 2]"),
       "w.jsonl:2: blocks: expected at most 1048576 arrays of 2 numbers in an array, found an array"},
      {row_error("\"hints\": [[1, null]]"),
       "w.jsonl:2: hints: expected at most 1024 arrays of 2 numbers in an array, found an array"},
      {error_of(std::string(kHeader) + kRow +
                "{\"id\": 0, \"arrival_ns\": 5, \"prompt_tokens\": 4, \"output_tokens\": 7}"),
       "w.jsonl:3: id: expected each once, found 0 again"},
  };
  for (const auto& [found, expected] : wrong) BOOST_TEST(found == expected);
}

BOOST_AUTO_TEST_CASE(a_long_line_and_a_deep_one_cost_an_error) {
  BOOST_TEST(row_error("\"tenant\": \"" + std::string(std::size_t{5} << 20, 'x') + "\"")
                 .starts_with("w.jsonl:2: line: expected at most 4194304 bytes"));
  BOOST_TEST(row_error("\"tenant\": " + std::string(100'000, '[')) ==
             "w.jsonl:2: line: expected an object of JSON, found something else");
}

BOOST_AUTO_TEST_CASE(taken_for_another_format_it_says_so) {
  const auto rows = parse_mooncake(std::string(kHeader) + kRow, "w.jsonl");
  BOOST_REQUIRE(!rows.has_value());
  BOOST_TEST(rows.error().message().find("state format = \"serveloop\"") != std::string::npos);
}

// Parents are found by id, whatever the order of the lines, and not where the window leaves them out.
BOOST_AUTO_TEST_CASE(a_workload_carries_what_was_recorded) {
  const std::string path =
      (std::filesystem::temp_directory_path() / "serveloop-workload-file.jsonl").string();
  std::ofstream(path)
      << kHeader
      << R"({"id": 8, "parent": 3, "arrival_ns": 2000000000, "prompt_tokens": 40, "output_tokens": 5, "blocks": [[0, 3]], "session": 2, "turn": 1})"
      << "\n"
      << R"({"id": 3, "arrival_ns": 1000000000, "prompt_tokens": 33, "output_tokens": 6, "blocks": [[0, 2], [9, 1]], "session": 2, "n": 2, "tenant": "shop", "priority": 4, "ttft_deadline_ns": 77, "predicted_p50": 9, "hints": [[5, 1.5]]})"
      << "\n";
  config::Workload config;
  config.source = "trace";
  config.trace = path;
  config.format = "serveloop";
  config.rate_scale = 2;
  {
    Workload workload = made(config);
    const Issue first = workload.next(), second = workload.next();
    BOOST_TEST(first.spec.arrival_ns == 0u);
    BOOST_TEST(second.spec.arrival_ns == 500'000'000u);
    BOOST_TEST((first.spec.n == 2 && first.spec.tenant == "shop" && *first.spec.priority == 4));
    BOOST_TEST(
        (first.spec.ttft_deadline_ns == 77 && first.spec.predicted_p50 == 9 && first.spec.hints.size() == 1));
    BOOST_TEST(
        (first.spec.session == "session 2" && second.spec.session == "session 2" && second.spec.turn == 1));
    BOOST_TEST((!first.parent && second.parent == first.index));
    BOOST_REQUIRE_EQUAL(second.spec.pieces.size(), 3u);
    BOOST_TEST((first.spec.pieces[1] == second.spec.pieces[1]));
    BOOST_TEST((first.spec.pieces[1].tokens == 16 && second.spec.pieces[2].tokens == 8));
    BOOST_TEST((first.spec.pieces[2].seed != second.spec.pieces[2].seed));
  }
  config.window = config::Window{0.5, 5};
  config.tenants = {{"other", 1}};  // what is drawn comes over what was recorded
  Workload workload = made(config);
  const Issue alone = workload.next();
  BOOST_TEST((!alone.parent && alone.spec.tenant == "other" && alone.spec.turn == 1));
  std::remove(path.c_str());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::experiment::test
