#include "experiment/workload_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "base/suggest.hpp"
#include "experiment/rows.hpp"

namespace serveloop::experiment {

namespace {

using Json = nlohmann::json;

constexpr std::size_t kMostLineBytes = std::size_t{4} << 20;
constexpr std::uint64_t kMostNs = std::uint64_t{1} << 62;
constexpr std::uint64_t kMostId = UINT64_MAX;
constexpr std::size_t kMostEntries = 1024;  // hints or retention ranges of a request
constexpr std::size_t kMostNameBytes = 256;
constexpr const char* kVersionKey = "serveloop_workload";

std::string shown(const Json& value) {
  if (value.is_array()) return "an array";
  if (value.is_object()) return "an object";
  const std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  return text.size() <= 40 ? text : text.substr(0, 40) + " ...";
}

// One line's object. The first error is kept; what is read after it means nothing.
class Fields {
 public:
  Fields(const TracePlace& place, const Json& object) : place_(place), object_(object) {}

  const Json* find(const char* key) {
    known_.emplace_back(key);
    const auto found = object_.find(key);
    return found == object_.end() ? nullptr : &*found;
  }
  template <class Int>
  void whole(const char* key, std::int64_t least, std::uint64_t most, Int& out) {
    if (const Json* value = find(key)) out = whole_of<Int>(key, *value, least, most);
  }
  template <class Int>
  void whole(const char* key, std::int64_t least, std::uint64_t most, std::optional<Int>& out) {
    if (const Json* value = find(key)) out = whole_of<Int>(key, *value, least, most);
  }
  template <class Int>
  void required(const char* key, std::uint64_t least, std::uint64_t most, Int& out) {
    if (!object_.contains(key)) refuse(key, fmt::format("a whole number, {} to {}", least, most), "nothing");
    whole(key, static_cast<std::int64_t>(least), most, out);
  }
  void name(const char* key, std::string& out) {
    const Json* value = find(key);
    if (value == nullptr) return;
    const bool text = value->is_string();
    if (text) out = value->get<std::string>();
    const bool plain = std::none_of(out.begin(), out.end(),
                                    [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
    if (!text || !plain || out.size() > kMostNameBytes)
      refuse(key, fmt::format("a name of at most {} bytes, without control characters", kMostNameBytes),
             shown(*value));
  }
  // Rows of `width` numbers: [[1, 2], [3, 4]]. Calls take(row) with each.
  template <class Take>
  void rows(const char* key, std::size_t width, std::size_t most, Take&& take) {
    const Json* value = find(key);
    if (value == nullptr) return;
    const auto is_row = [&](const Json& row) {
      return row.is_array() && row.size() == width &&
             std::all_of(row.begin(), row.end(), [](const Json& number) { return number.is_number(); });
    };
    if (!value->is_array() || value->size() > most || !std::all_of(value->begin(), value->end(), is_row))
      return refuse(key, fmt::format("at most {} arrays of {} numbers in an array", most, width),
                    shown(*value));
    for (const Json& row : *value) take(row);
  }
  template <class Int>
  Int whole_of(const char* key, const Json& value, std::int64_t least, std::uint64_t most) {
    const bool fits = value.is_number_unsigned()
                          ? value.get<std::uint64_t>() <= most &&
                                (least < 0 || value.get<std::uint64_t>() >= static_cast<std::uint64_t>(least))
                          : value.is_number_integer() && value.get<std::int64_t>() >= least && least < 0;
    if (fits) return value.get<Int>();
    refuse(key, fmt::format("a whole number, {} to {}", least, most), shown(value));
    return {};
  }
  void refuse(const std::string& field, std::string expected, std::string found, std::string hint = {}) {
    if (error_) return;
    error_ = Error{fmt::format("{}:{}: {}", place_.source, place_.line, field), std::move(expected),
                   std::move(found), std::move(hint)};
  }
  Status done() {
    for (const auto& member : object_.items())
      if (std::find(known_.begin(), known_.end(), member.key()) == known_.end())
        refuse(fmt::format("unknown key '{}'", member.key().substr(0, kMostNameBytes)), "", "",
               did_you_mean(member.key(), known_));
    if (error_) return tl::unexpected(*error_);
    return {};
  }

 private:
  TracePlace place_;
  const Json& object_;
  std::vector<std::string> known_;
  std::optional<Error> error_;
};

Result<Json> object_of(const TracePlace& place, std::string_view line) {
  if (line.size() > kMostLineBytes)
    return place.bad("line", fmt::format("at most {} bytes", kMostLineBytes), std::to_string(line.size()));
  Json object = Json::parse(line.begin(), line.end(), nullptr, false);
  if (object.is_discarded() || !object.is_object())
    return place.bad("line", "an object of JSON", object.is_discarded() ? "something else" : shown(object));
  return object;
}

Status read_header(const TracePlace& place, std::string_view line, Trace& trace) {
  const Result<Json> object = object_of(place, line);
  if (!object) return tl::unexpected(object.error());
  Fields in(place, *object);
  std::uint64_t version = 0;
  in.required(kVersionKey, kWorkloadFileVersion, kWorkloadFileVersion, version);
  in.required("block_tokens", 1, 1 << 20, trace.block_tokens);
  in.whole("unanswered", 0, kMostNs, trace.unanswered);
  return in.done();
}

void read_blocks(Fields& in, std::uint32_t block_tokens, TraceRow& row) {
  std::uint64_t sum = 0;
  in.rows("blocks", 2, kMostTraceBlocks, [&](const Json& run) {
    row.blocks.push_back({in.whole_of<std::uint64_t>("blocks", run[0], 0, kMostId),
                          in.whole_of<std::uint32_t>("blocks", run[1], 1, kMostTraceTokens)});
    sum += row.blocks.back().count;
  });
  const std::size_t needed = prompt_blocks(row.prompt_tokens, block_tokens);
  if (!row.blocks.empty() && sum != needed)
    in.refuse(
        "blocks",
        fmt::format("{} in all, one for every {} of {} tokens", needed, block_tokens, row.prompt_tokens),
        std::to_string(sum));
}

void read_labels(Fields& in, RowLabels& out) {
  in.whole("id", 0, kMostId, out.id);
  in.whole("parent", 0, kMostId, out.parent);
  in.whole("session", 0, kMostId, out.session);
  in.whole("program", 0, kMostId, out.program);
  in.whole("cache_salt", 0, kMostId, out.cache_salt);
  in.whole("turn", 0, UINT32_MAX, out.turn);
  in.whole("n", 1, 128, out.n);
  in.name("tenant", out.tenant);
  in.name("category", out.category);
  in.whole("priority", -1'000'000, 1'000'000, out.priority);
  in.whole("ttft_deadline_ns", 0, kMostNs, out.ttft_deadline_ns);
  in.whole("tbt_target_ns", 0, kMostNs, out.tbt_target_ns);
  in.whole("end_deadline_ns", 0, kMostNs, out.end_deadline_ns);
  in.whole("predicted_p50", 0, UINT32_MAX, out.predicted_p50);
  in.whole("predicted_p90", 0, UINT32_MAX, out.predicted_p90);
  in.whole("predicted_p99", 0, UINT32_MAX, out.predicted_p99);
  in.rows("hints", 2, kMostEntries, [&](const Json& row) {
    out.hints.push_back({in.whole_of<std::uint64_t>("hints", row[0], 0, kMostId), row[1].get<double>()});
  });
  in.rows("retention", 5, kMostEntries, [&](const Json& row) {
    const auto at = [&](std::size_t i, std::uint64_t most) {
      return in.whole_of<std::uint64_t>("retention", row[i], 0, most);
    };
    const auto small = [&](std::size_t i) { return static_cast<std::uint32_t>(at(i, UINT32_MAX)); };
    out.retention.push_back({small(0), small(1), small(2), small(3), at(4, kMostId)});
  });
}

Status read_row(const TracePlace& place, std::string_view line, Trace& trace) {
  const Result<Json> object = object_of(place, line);
  if (!object) return tl::unexpected(object.error());
  Fields in(place, *object);
  TraceRow row;
  RowLabels labels;
  labels.id = trace.rows.size();
  row.line = place.line;
  in.required("arrival_ns", 0, kMostNs, row.arrival_ns);
  in.required("prompt_tokens", 1, kMostTraceTokens, row.prompt_tokens);
  in.required("output_tokens", 1, kMostTraceTokens, row.output_tokens);
  read_blocks(in, trace.block_tokens, row);
  read_labels(in, labels);
  if (Status good = in.done(); !good) return good;
  row.labels = static_cast<std::uint32_t>(trace.labels.size());
  trace.rows.push_back(std::move(row));
  trace.labels.push_back(std::move(labels));
  return {};
}

// Numbers that are not `none`.
template <class Number>
void put(std::string& out, const char* key, Number value, Number none) {
  if (value != none) out += fmt::format(", \"{}\": {}", key, value);
}

void put_labels(std::string& out, const RowLabels& l) {
  if (l.parent) out += fmt::format(", \"parent\": {}", *l.parent);
  put<std::uint64_t>(out, "session", l.session, 0);
  put<std::uint64_t>(out, "program", l.program, 0);
  put<std::uint64_t>(out, "cache_salt", l.cache_salt, 0);
  put<std::uint32_t>(out, "turn", l.turn, 0);
  put<std::uint32_t>(out, "n", l.n, 1);
  if (!l.tenant.empty()) out += ", \"tenant\": " + json_text(l.tenant);
  if (!l.category.empty()) out += ", \"category\": " + json_text(l.category);
  if (l.priority) out += fmt::format(", \"priority\": {}", *l.priority);
  put<std::uint64_t>(out, "ttft_deadline_ns", l.ttft_deadline_ns, SL_NEVER);
  put<std::uint64_t>(out, "tbt_target_ns", l.tbt_target_ns, SL_NEVER);
  put<std::uint64_t>(out, "end_deadline_ns", l.end_deadline_ns, SL_NEVER);
  put<std::uint32_t>(out, "predicted_p50", l.predicted_p50, 0);
  put<std::uint32_t>(out, "predicted_p90", l.predicted_p90, 0);
  put<std::uint32_t>(out, "predicted_p99", l.predicted_p99, 0);
  std::string rows;
  for (const sl_hint& hint : l.hints)
    if (std::isfinite(hint.value))
      rows += fmt::format("{}[{}, {}]", rows.empty() ? "" : ", ", hint.key, hint.value);
  if (!rows.empty()) out += ", \"hints\": [" + rows + "]";
  rows.clear();
  for (const sl_retention& r : l.retention)
    rows += fmt::format("{}[{}, {}, {}, {}, {}]", rows.empty() ? "" : ", ", r.from_token, r.to_token,
                        r.priority, r.tier, r.duration_ns);
  if (!rows.empty()) out += ", \"retention\": [" + rows + "]";
}

}  // namespace

std::string workload_file(const Trace& trace) {
  std::string out = fmt::format("{{\"{}\": {}, \"block_tokens\": {}", kVersionKey, kWorkloadFileVersion,
                                trace.block_tokens);
  put<std::uint64_t>(out, "unanswered", trace.unanswered, 0);
  out += "}\n";
  for (const TraceRow& row : trace.rows) {
    const RowLabels none, &labels = row.labels == TraceRow::kNone ? none : trace.labels[row.labels];
    out += fmt::format("{{\"id\": {}, \"arrival_ns\": {}, \"prompt_tokens\": {}, \"output_tokens\": {}",
                       labels.id, row.arrival_ns, row.prompt_tokens, row.output_tokens);
    std::string runs;
    for (const BlockRun& run : row.blocks)
      runs += fmt::format("{}[{}, {}]", runs.empty() ? "" : ", ", run.first, run.count);
    if (!runs.empty()) out += ", \"blocks\": [" + runs + "]";
    put_labels(out, labels);
    out += "}\n";
  }
  return out;
}

Result<Trace> parse_workload_file(std::string_view text, std::string_view source_name) {
  Trace trace;
  std::unordered_set<std::uint64_t> ids;
  for (TracePlace place{source_name, 1}; !text.empty(); ++place.line) {
    const std::string_view line = take_line(text);
    if (place.line == 1) {
      if (Status header = read_header(place, line, trace); !header) return tl::unexpected(header.error());
      continue;
    }
    if (line.empty()) continue;
    if (Status row = read_row(place, line, trace); !row) return tl::unexpected(row.error());
    if (const std::uint64_t id = trace.labels.back().id; !ids.insert(id).second)
      return place.bad("id", "each once", fmt::format("{} again", id));
  }
  if (trace.rows.empty()) return fail(std::string(source_name), "at least one request", "none");
  settle(trace.rows);
  return trace;
}

}  // namespace serveloop::experiment
