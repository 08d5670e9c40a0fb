// Trace files come from anywhere: nothing in them is trusted. Sizes and nesting are bounded, numbers are read
// in full or refused.
#include "experiment/traces.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>

#include "experiment/log_trace.hpp"
#include "experiment/workload_file.hpp"

namespace serveloop::experiment {

namespace {

constexpr std::size_t kMostBytes = std::size_t{4} << 30;  // of a file
constexpr std::uint64_t kSecond_ns = 1'000'000'000, kMilli_ns = 1'000'000;
constexpr std::uint64_t kMostSeconds = std::uint64_t{1} << 32;  // so that nanoseconds fit
constexpr std::string_view kTimestampForm =
    "a time like 2023-11-16 18:17:03.9799600, of a day that there was";

std::string shown(std::string_view text) {
  if (text.empty()) return "nothing";
  return fmt::format("'{}'{}", text.substr(0, 40), text.size() > 40 ? " ..." : "");
}

// Takes what stands before `end` off the front of `text`, and the character itself.
std::string_view cut(std::string_view& text, char end) {
  const std::size_t at = std::min(text.find(end), text.size());
  const std::string_view head = text.substr(0, at);
  text.remove_prefix(std::min(at + 1, text.size()));
  return head;
}

std::optional<std::uint64_t> whole(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// "2023-11-16 18:17:03.9799600", with at most nine digits of a second; "+00:00" or "Z" may follow.
// Nanoseconds since 1970.
std::optional<std::uint64_t> timestamp_ns(std::string_view text) {
  if (text.ends_with("+00:00")) text.remove_suffix(6);
  if (text.ends_with('Z')) text.remove_suffix(1);
  constexpr std::string_view kForm = "0000-00-00 00:00:00";
  if (text.size() < kForm.size()) return std::nullopt;
  unsigned parts[6] = {};
  for (std::size_t i = 0, part = 0; i < kForm.size(); ++i) {
    const bool digit = text[i] >= '0' && text[i] <= '9';
    if (kForm[i] == '0' && digit)
      parts[part] = parts[part] * 10 + static_cast<unsigned>(text[i] - '0');
    else if (kForm[i] != '0' && (text[i] == kForm[i] || (text[i] == 'T' && kForm[i] == ' ')))
      ++part;
    else
      return std::nullopt;
  }
  const auto [year, month, day, hour, minute, second] = parts;
  const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(year)), std::chrono::month(month),
                                         std::chrono::day(day)};
  if (year < 1970 || year > 2200 || !date.ok()) return std::nullopt;
  if (hour > 23 || minute > 59 || second > 60) return std::nullopt;
  std::uint64_t fraction_ns = 0;
  if (std::string_view digits = text.substr(kForm.size()); !digits.empty()) {
    if (digits[0] != '.' || digits.size() < 2 || digits.size() > 10) return std::nullopt;
    const std::optional<std::uint64_t> value = whole(digits.substr(1));
    if (!value) return std::nullopt;
    fraction_ns = *value;
    for (std::size_t i = digits.size(); i < 10; ++i) fraction_ns *= 10;
  }
  const auto days = static_cast<std::uint64_t>(std::chrono::sys_days(date).time_since_epoch().count());
  const std::uint64_t seconds = days * 86400 + hour * 3600 + minute * 60 + second;
  return seconds * kSecond_ns + fraction_ns;
}

Result<std::uint32_t> tokens_of(const TracePlace& place, std::string_view field,
                                std::optional<std::uint64_t> value, std::string found) {
  if (value && *value <= kMostTraceTokens) return static_cast<std::uint32_t>(*value);
  return place.bad(field, fmt::format("a whole number of tokens, 0 to {}", kMostTraceTokens),
                   std::move(found));
}

// One object of a JSON line, read without building a document. Keys it doesn't know are skipped.
class RowReader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  std::optional<double> timestamp_ms;
  std::optional<std::uint64_t> input_length, output_length;
  std::vector<std::uint64_t> hash_ids;
  bool has_hash_ids = false;
  std::string field, found;  // of what it refused

  bool null() override { return scalar("null"); }
  bool boolean(bool value) override { return scalar(value ? "true" : "false"); }
  bool number_integer(number_integer_t value) override { return scalar(std::to_string(value)); }
  bool number_unsigned(number_unsigned_t value) override {
    if (depth_ == 2 && key_ == "hash_ids" && hash_ids.size() < kMostTraceBlocks) {
      hash_ids.push_back(value);
      return true;
    }
    if (depth_ == 1 && key_ == "timestamp")
      timestamp_ms = static_cast<double>(value);
    else if (depth_ == 1 && key_ == "input_length")
      input_length = value;
    else if (depth_ == 1 && key_ == "output_length")
      output_length = value;
    else
      return scalar(std::to_string(value));
    return true;
  }
  bool number_float(number_float_t value, const string_t& text) override {
    if (depth_ != 1 || key_ != "timestamp" || !(value >= 0)) return scalar(text);
    timestamp_ms = value;
    return true;
  }
  bool string(string_t& value) override { return scalar(shown(value)); }
  bool binary(binary_t&) override { return scalar("binary"); }
  bool start_object(std::size_t) override { return open("an object", depth_ == 0); }
  bool end_object() override { return --depth_ >= 0; }
  bool start_array(std::size_t) override {
    const bool ids = depth_ == 1 && key_ == "hash_ids";
    has_hash_ids = has_hash_ids || ids;
    return open("an array", ids);
  }
  bool end_array() override { return --depth_ >= 0; }
  bool key(string_t& name) override {
    if (depth_ == 1) key_ = name;
    return true;
  }
  bool parse_error(std::size_t at, const std::string&, const nlohmann::json::exception&) override {
    return refuse("line", fmt::format("something else at byte {}", at));
  }

 private:
  static constexpr int kDeepest = 16;
  bool known() const {
    return key_ == "timestamp" || key_ == "input_length" || key_ == "output_length" || key_ == "hash_ids";
  }
  bool refuse(std::string where, std::string what) {
    if (field.empty()) field = std::move(where), found = std::move(what);
    return false;
  }
  bool scalar(std::string what) {
    if (depth_ == 0) return refuse("line", std::move(what));
    return known() ? refuse(key_, std::move(what)) : true;
  }
  bool open(const char* what, bool expected) {
    if (depth_ == 0 ? !expected : known() && !expected) return refuse(depth_ == 0 ? "line" : key_, what);
    return ++depth_ <= kDeepest || refuse("line", "too many arrays or objects in each other");
  }
  std::string key_;
  int depth_ = 0;
};

Result<TraceRow> mooncake_row(const TracePlace& place, std::string_view line) {
  RowReader reader;
  if (!nlohmann::json::sax_parse(line.begin(), line.end(), &reader)) {
    if (reader.field == "line") return place.bad("line", "an object of JSON", reader.found);
    return place.bad(reader.field,
                     reader.field == "hash_ids" ? "an array of ids, whole numbers from 0" : "a number from 0",
                     reader.found);
  }
  if (!reader.timestamp_ms || *reader.timestamp_ms > static_cast<double>(kMostSeconds) * 1e3)
    return place.bad("timestamp", "milliseconds, from 0",
                     reader.timestamp_ms ? fmt::format("{}", *reader.timestamp_ms) : "nothing");
  const auto found = [](const std::optional<std::uint64_t>& n) { return n ? std::to_string(*n) : "nothing"; };
  const auto prompt = tokens_of(place, "input_length", reader.input_length, found(reader.input_length));
  if (!prompt) return tl::unexpected(prompt.error());
  const auto output = tokens_of(place, "output_length", reader.output_length, found(reader.output_length));
  if (!output) return tl::unexpected(output.error());
  const std::size_t blocks = prompt_blocks(*prompt, kTraceBlockTokens);
  if (!reader.has_hash_ids || reader.hash_ids.size() != blocks)
    return place.bad("hash_ids",
                     fmt::format("{} ids, one for every {} of {} tokens", blocks, kTraceBlockTokens, *prompt),
                     reader.has_hash_ids ? std::to_string(reader.hash_ids.size()) : "nothing");
  TraceRow row{
      static_cast<std::uint64_t>(std::llround(*reader.timestamp_ms * static_cast<double>(kMilli_ns))),
      *prompt,
      *output,
      {},
      place.line};
  for (const std::uint64_t id : reader.hash_ids) append_block(row.blocks, id);
  return row;
}

Result<std::string> read_file(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  if (!file)
    return fail("", "a file that can be read",
                errno == ENOENT ? "none at " + path : path + ": " + std::generic_category().message(errno));
  std::string text;
  constexpr std::size_t kChunk = std::size_t{1} << 20;
  for (std::size_t got = kChunk; got == kChunk;) {
    const std::size_t had = text.size();
    if (had > kMostBytes) return fail(path, fmt::format("at most {} bytes", kMostBytes), "more");
    text.resize(had + kChunk);
    got = std::fread(text.data() + had, 1, kChunk, file.get());
    text.resize(had + got);
  }
  if (std::ferror(file.get()) != 0) return fail(path, "a file that can be read", "an error of the system");
  return text;
}

}  // namespace

tl::unexpected<Error> TracePlace::bad(std::string_view field, std::string_view expected,
                                      std::string found) const {
  return fail(fmt::format("{}:{}: {}", source, line, field), std::string(expected), std::move(found));
}

std::string_view take_line(std::string_view& text) {
  std::string_view line = cut(text, '\n');
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

std::size_t prompt_blocks(std::uint32_t prompt_tokens, std::uint32_t block_tokens) {
  return (std::size_t{prompt_tokens} + block_tokens - 1) / block_tokens;
}

void append_block(std::vector<BlockRun>& runs, std::uint64_t id) {
  if (!runs.empty() && runs.back().first + runs.back().count == id)
    ++runs.back().count;
  else
    runs.push_back({id, 1});
}

void settle(std::vector<TraceRow>& rows) {
  const auto earlier = [](const TraceRow& a, const TraceRow& b) { return a.arrival_ns < b.arrival_ns; };
  if (!std::is_sorted(rows.begin(), rows.end(), earlier)) std::stable_sort(rows.begin(), rows.end(), earlier);
  if (rows.empty()) return;
  const std::uint64_t first_ns = rows.front().arrival_ns;
  for (TraceRow& row : rows) row.arrival_ns -= first_ns;
}

Result<std::vector<TraceRow>> parse_azure(std::string_view text, std::string_view source_name) {
  constexpr std::string_view kHeader = "TIMESTAMP,ContextTokens,GeneratedTokens";
  TracePlace place{source_name, 1};
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // byte order mark
  if (const std::string_view header = take_line(text); header != kHeader)
    return place.bad("header", kHeader, shown(header));
  std::vector<TraceRow> rows;
  rows.reserve(text.size() / 32);
  while (!text.empty()) {
    ++place.line;
    std::string_view rest = take_line(text);
    if (rest.empty()) continue;
    const std::string_view when = cut(rest, ','), context = cut(rest, ','), generated = rest;
    const std::optional<std::uint64_t> arrival = timestamp_ns(when);
    if (!arrival) return place.bad("TIMESTAMP", kTimestampForm, shown(when));
    const auto prompt = tokens_of(place, "ContextTokens", whole(context), shown(context));
    if (!prompt) return tl::unexpected(prompt.error());
    const auto output = tokens_of(place, "GeneratedTokens", whole(generated), shown(generated));
    if (!output) return tl::unexpected(output.error());
    rows.push_back({*arrival, *prompt, *output, {}, place.line});
  }
  if (rows.empty()) return fail(std::string(source_name), "at least one request", "none");
  settle(rows);
  return rows;
}

Result<std::vector<TraceRow>> parse_mooncake(std::string_view text, std::string_view source_name) {
  std::vector<TraceRow> rows;
  for (TracePlace place{source_name, 1}; !text.empty(); ++place.line) {
    const std::string_view line = take_line(text);
    if (line.empty()) continue;
    Result<TraceRow> row = mooncake_row(place, line);
    if (!row && place.line == 1 && line.find("\"serveloop_workload\"") != std::string_view::npos)
      return fail(std::string(source_name), "a trace of Mooncake's", "a file that `replay --workload` wrote",
                  "state format = \"serveloop\"");
    if (!row) return tl::unexpected(row.error());
    rows.push_back(std::move(*row));
  }
  if (rows.empty()) return fail(std::string(source_name), "at least one request", "none");
  settle(rows);
  return rows;
}

Result<Trace> read_trace(const std::string& path, std::string_view format) {
  if (format == "step_log") return trace_of_log(path);
  const bool azure = format == "azure";
  if (!azure && format != "mooncake" && format != "serveloop")
    return fail("workload.format", "azure, mooncake, serveloop or step_log", shown(format));
  const Result<std::string> text = read_file(path);
  if (!text) return tl::unexpected(text.error());
  if (format == "serveloop") return parse_workload_file(*text, path);
  Result<std::vector<TraceRow>> rows = azure ? parse_azure(*text, path) : parse_mooncake(*text, path);
  if (!rows) return tl::unexpected(rows.error());
  Trace trace;
  trace.rows = std::move(*rows);
  return trace;
}

}  // namespace serveloop::experiment
