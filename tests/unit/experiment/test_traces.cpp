// The traces are read in full (figures from data/traces/README.md, made with other tools), and bad lines are
// named.
#include <numeric>
#include <set>

#include "experiment/traces.hpp"
#include "helpers.hpp"

namespace serveloop::experiment::test {

namespace {

struct Sums {
  std::uint64_t rows, prompt, output, last_arrival_ns, arrivals_ns;
};

std::vector<TraceRow> check(const char* name, const char* format, const Sums& expected) {
  Result<Trace> trace = read_trace(trace_path(name), format);
  BOOST_REQUIRE_MESSAGE(trace.has_value(), (trace ? "" : trace.error().message()));
  std::vector<TraceRow>* rows = &trace->rows;
  Sums sums{rows->size(), 0, 0, rows->back().arrival_ns, 0};
  for (const TraceRow& row : *rows) {
    sums.prompt += row.prompt_tokens;
    sums.output += row.output_tokens;
    sums.arrivals_ns += row.arrival_ns;
  }
  BOOST_TEST(sums.rows == expected.rows);
  BOOST_TEST(sums.prompt == expected.prompt);
  BOOST_TEST(sums.output == expected.output);
  BOOST_TEST(sums.last_arrival_ns == expected.last_arrival_ns);
  BOOST_TEST(sums.arrivals_ns == expected.arrivals_ns);
  return std::move(*rows);
}

std::string azure_error(const std::string& line) {
  const auto rows =
      parse_azure("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.1,1,2\n" + line, "t.csv");
  return rows ? "none" : rows.error().message();
}

std::string mooncake_error(const std::string& line) {
  const auto rows =
      parse_mooncake(R"({"timestamp": 0, "input_length": 600, "output_length": 5, "hash_ids": [0, 1]})"
                     "\n" +
                         line,
                     "t.jsonl");
  return rows ? "none" : rows.error().message();
}

void expect(const std::string& message, const std::vector<std::string>& parts) {
  for (const std::string& part : parts)
    BOOST_TEST(message.find(part) != std::string::npos, "'" << part << "' in '" << message << "'");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(traces)

BOOST_AUTO_TEST_CASE(azure_code) {
  check("azure2023_code.csv", "azure",
        {8819, 18'059'974, 245'896, 3'435'948'056'000, 13'327'267'954'592'000});
}

BOOST_AUTO_TEST_CASE(azure_conversations) {
  const auto rows = check("azure2023_conv.csv", "azure",
                          {19'366, 22'361'870, 4'088'665, 3'501'721'937'000, 33'473'340'385'407'000});
  BOOST_TEST((rows[0] == TraceRow{0, 374, 44, {}, 2}));
  BOOST_TEST((rows[1] == TraceRow{4'314'579'000, 396, 109, {}, 3}));
}

BOOST_AUTO_TEST_CASE(mooncake_conversations) {
  const auto rows = check("mooncake_conversation_trace.jsonl", "mooncake",
                          {12'031, 144'793'823, 4'122'048, 3'536'999'000'000, 22'224'626'588'000'000});
  std::set<std::uint64_t> ids;
  std::uint64_t sum = 0;
  for (const TraceRow& row : rows)
    for (const BlockRun& run : row.blocks)
      for (std::uint64_t id = run.first; id < run.first + run.count; ++id) {
        ids.insert(id);
        sum += id;
      }
  BOOST_TEST(ids.size() == 182'790u);
  BOOST_TEST(sum == 23'407'000'830u);
  std::uint32_t first = 0;
  for (const BlockRun& run : rows[0].blocks) first += run.count;
  BOOST_TEST(first == 14u);
}

BOOST_AUTO_TEST_CASE(mooncake_synthetic) {
  check("mooncake_synthetic_trace.jsonl", "mooncake",
        {3993, 61'194'628, 595'432, 1'022'025'000'000, 2'097'594'543'000'000});
}

BOOST_AUTO_TEST_CASE(times_are_read_to_the_nanosecond_and_across_days) {
  const auto rows = parse_azure(
      "TIMESTAMP,ContextTokens,GeneratedTokens\r\n2023-12-31 23:59:59.9999999,1,2\r\n2024-01-01 "
      "00:00:00,3,4\r\n"
      "2024-02-29T12:00:00.000000001+00:00,5,6\n2024-03-01 12:00:00.5Z,7,8",
      "t");
  BOOST_REQUIRE(rows.has_value());
  BOOST_REQUIRE(rows->size() == 4u);
  BOOST_TEST((*rows)[0].arrival_ns == 0u);
  BOOST_TEST((*rows)[1].arrival_ns == 100u);
  BOOST_TEST((*rows)[2].arrival_ns == (59 * 86400 + 43200) * 1'000'000'000ull + 101);
  BOOST_TEST((*rows)[3].arrival_ns == (60 * 86400 + 43200) * 1'000'000'000ull + 500'000'100);
}

BOOST_AUTO_TEST_CASE(rows_come_in_order_of_arrival) {
  const auto rows = parse_azure(
      "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:05,1,1\n2023-11-16 18:17:03,2,2\n2023-11-16 "
      "18:17:05,3,3\n",
      "t");
  BOOST_REQUIRE(rows.has_value());
  BOOST_TEST(
      ((*rows)[0].prompt_tokens == 2 && (*rows)[1].prompt_tokens == 1 && (*rows)[2].prompt_tokens == 3));
  BOOST_TEST((*rows)[2].arrival_ns == 2'000'000'000u);
  BOOST_TEST(((*rows)[0].line == 3 && (*rows)[1].line == 2 && (*rows)[2].line == 4));
}

BOOST_AUTO_TEST_CASE(rows_know_their_lines) {
  const std::string row = R"({"timestamp": 0, "input_length": 3, "output_length": 2, "hash_ids": [7]})";
  const auto rows = parse_mooncake(row + "\n\n" + row + "\n", "t");
  BOOST_REQUIRE(rows.has_value());
  BOOST_TEST(((*rows)[0].line == 1 && (*rows)[1].line == 3));
}

BOOST_AUTO_TEST_CASE(a_bad_azure_line_is_named) {
  expect(azure_error("2023-11-16 18:17:03,x,2"),
         {"t.csv:3: ContextTokens", "expected a whole number", "found 'x'"});
  expect(azure_error("2023-11-16 18:17:03,1"), {"t.csv:3: GeneratedTokens", "found nothing"});
  expect(azure_error("2023-11-16 18:17:03,1,2,3"), {"t.csv:3: GeneratedTokens", "found '2,3'"});
  expect(azure_error("2023-11-16 18:17:03,-1,2"), {"ContextTokens", "found '-1'"});
  expect(azure_error("2023-11-16 18:17:03,99999999999999999999,2"), {"ContextTokens", "found '9999"});
  expect(azure_error("\n2023-11-16 18:17:03,1,"), {"t.csv:4: GeneratedTokens"});
  for (const char* when :
       {"", "18:17:03", "2023-13-16 18:17:03", "2023-11-16 18:17:03.", "2023-11-16 18:17:03.1234567890",
        "2023-11-16 25:17:03", "2023/11/16 18:17:03", "2023-11-16 18:17:03x", "2023-02-31 18:17:03",
        "2023-02-29 00:00:00", "2023-04-31 00:00:00", "2023-00-10 00:00:00", "2023-01-00 00:00:00"})
    expect(azure_error(std::string(when) + ",1,2"),
           {"t.csv:3: TIMESTAMP", "expected a time like 2023-11-16"});
  const auto no_header = parse_azure("2023-11-16 18:17:03,1,2\n", "t.csv");
  BOOST_REQUIRE(!no_header.has_value());
  expect(no_header.error().message(), {"t.csv:1: header", "TIMESTAMP,ContextTokens,GeneratedTokens"});
  BOOST_TEST(!parse_azure("TIMESTAMP,ContextTokens,GeneratedTokens\n", "t.csv").has_value());
  BOOST_TEST(!parse_azure("", "t.csv").has_value());
}

BOOST_AUTO_TEST_CASE(a_bad_mooncake_line_is_named) {
  const std::string good = R"({"timestamp": 5, "input_length": 3, "output_length": 2, "hash_ids": [7])";
  BOOST_TEST(mooncake_error(good + "}") == "none");
  BOOST_TEST(mooncake_error(good + R"(, "more": {"timestamp": [[1, "x", null]], "y": -1.5}})") == "none");
  expect(mooncake_error(good), {"t.jsonl:2: line", "expected an object of JSON"});
  expect(mooncake_error("[1]"), {"t.jsonl:2: line", "found an array"});
  expect(mooncake_error("12"), {"t.jsonl:2: line", "found 12"});
  expect(mooncake_error(R"({"timestamp": 5, "input_length": "3", "output_length": 2, "hash_ids": [7]})"),
         {"t.jsonl:2: input_length", "found '3'"});
  expect(mooncake_error(R"({"timestamp": 5, "input_length": 3, "output_length": -2, "hash_ids": [7]})"),
         {"t.jsonl:2: output_length", "found -2"});
  expect(mooncake_error(R"({"input_length": 3, "output_length": 2, "hash_ids": [7]})"),
         {"timestamp", "found nothing"});
  expect(mooncake_error(R"({"timestamp": 5, "input_length": 513, "output_length": 2, "hash_ids": [7]})"),
         {"t.jsonl:2: hash_ids", "expected 2 ids", "found 1"});
  expect(mooncake_error(R"({"timestamp": 5, "input_length": 3, "output_length": 2, "hash_ids": [7.5]})"),
         {"hash_ids", "found 7.5"});
  expect(mooncake_error(R"({"timestamp": 5, "input_length": 3, "output_length": 2, "hash_ids": [[7]]})"),
         {"hash_ids", "found an array"});
  expect(mooncake_error(R"({"timestamp": 5, "input_length": 3, "output_length": 2, "hash_ids": {"a": 1}})"),
         {"hash_ids", "found an object"});
  expect(mooncake_error(R"({"timestamp": 1e99, "input_length": 3, "output_length": 2, "hash_ids": [7]})"),
         {"timestamp", "found 1e+99"});
  expect(mooncake_error(R"({"a": )" + std::string(100'000, '[')), {"t.jsonl:2: line", "too many"});
}

BOOST_AUTO_TEST_CASE(a_missing_file_and_an_unknown_format_are_named) {
  const auto missing = read_trace("/nowhere/t.csv", "azure");
  BOOST_REQUIRE(!missing.has_value());
  expect(missing.error().message(), {"a file that can be read", "none at /nowhere/t.csv"});
  const auto unknown = read_trace("/nowhere/t.csv", "azur");
  BOOST_REQUIRE(!unknown.has_value());
  expect(unknown.error().message(), {"azure, mooncake, serveloop or step_log", "'azur'"});
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace serveloop::experiment::test
