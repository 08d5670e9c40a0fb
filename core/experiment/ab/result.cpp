// One JSON value a line: an object about the run, then an array a sequence, then the word "end", so that a file that was cut
// is told from a whole one.
#include "experiment/ab/result.hpp"

#include <fmt/format.h>
#include <serveloop/events.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "experiment/rows.hpp"

namespace serveloop::experiment::ab {

namespace {

using Json = nlohmann::json;

constexpr int kFormat = 2;
constexpr std::array<const char*, kOutcomes> kOutcomeNames{"completed", "rejected", "cancelled", "deadline",
                                                           "failed"};
constexpr std::array kColumns{"request",        "fork",
                              "outcome",        "deadlines",
                              "arrival_ns",     "begun_ns",
                              "first_token_ns", "last_token_ns",
                              "end_ns",         "longest_gap_ns",
                              "prompt_tokens",  "output_tokens",
                              "hit_tokens",     "recomputed_tokens",
                              "preemptions"};

using Cells = std::array<std::uint64_t, kColumns.size()>;

Cells cells_of(const SequenceResult& s) {
  return {s.request,
          s.fork,
          static_cast<std::uint64_t>(s.outcome),
          static_cast<std::uint64_t>(s.deadlines),
          s.arrival_ns,
          s.begun_ns,
          s.first_token_ns,
          s.last_token_ns,
          s.end_ns,
          s.longest_gap_ns,
          s.prompt_tokens,
          s.output_tokens,
          s.hit_tokens,
          s.recomputed_tokens,
          s.preemptions};
}

SequenceResult of_cells(const Cells& c) {
  SequenceResult s;
  const auto narrow = [](std::uint64_t cell) { return static_cast<std::uint32_t>(cell); };
  s.request = c[0], s.fork = narrow(c[1]);
  s.outcome = static_cast<Outcome>(c[2]), s.deadlines = static_cast<Kept>(c[3]);
  s.arrival_ns = c[4], s.begun_ns = c[5];
  s.first_token_ns = c[6], s.last_token_ns = c[7], s.end_ns = c[8], s.longest_gap_ns = c[9];
  s.prompt_tokens = narrow(c[10]), s.output_tokens = narrow(c[11]), s.hit_tokens = narrow(c[12]);
  s.recomputed_tokens = narrow(c[13]), s.preemptions = narrow(c[14]);
  return s;
}

Outcome outcome_of(std::uint32_t finish) {
  switch (finish) {
    case SL_FINISH_LENGTH:
    case SL_FINISH_STOP: return Outcome::completed;
    case SL_FINISH_REJECTED: return Outcome::rejected;
    case SL_FINISH_CANCELLED: return Outcome::cancelled;
    case SL_FINISH_DEADLINE: return Outcome::deadline;
    default: return Outcome::failed;
  }
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

Result<SequenceResult> parse_sequence(std::string_view line, const std::string& place) {
  const Json row = Json::parse(line, nullptr, false);
  Cells cells{};
  bool good = row.is_array() && row.size() == cells.size();
  for (std::size_t i = 0; good && i < cells.size(); ++i) {
    good = row[i].is_number_unsigned();
    if (good) cells[i] = row[i].get<std::uint64_t>();
  }
  if (!good || cells[2] >= kOutcomes || cells[3] > 2)
    return fail(place, fmt::format("an array of {} numbers, as the first line names them", cells.size()),
                std::string(line.substr(0, 60)));
  return of_cells(cells);
}

}  // namespace

const char* name_of(Outcome outcome) { return kOutcomeNames[static_cast<std::size_t>(outcome)]; }

SequenceResult result_of(const SequenceEnd& ended) {
  const engine::Finished& end = ended.end;
  const auto after_arrival = [&](std::uint64_t at_ns) { return at_ns == 0 ? 0 : at_ns - end.arrival_ns; };
  SequenceResult s;
  s.request = ended.identity;
  s.fork = end.fork;
  s.outcome = outcome_of(end.finish);
  s.arrival_ns = end.arrival_ns;
  s.begun_ns = ended.begun_ns;
  s.first_token_ns = after_arrival(end.first_token_ns);
  s.last_token_ns = after_arrival(end.last_token_ns);
  s.end_ns = after_arrival(end.end_ns);
  s.longest_gap_ns = end.longest_gap_ns;
  s.prompt_tokens = end.prompt_tokens;
  s.output_tokens = end.output_tokens;
  s.hit_tokens = end.hit_tokens;
  s.recomputed_tokens = end.recomputed_tokens;
  s.preemptions = end.preemptions;
  if (ended.stated.any()) s.deadlines = ended.stated.kept_by(end) ? Kept::yes : Kept::no;
  return s;
}

RunResult result_of(const Summary& summary, std::vector<SequenceResult> sequences) {
  RunResult run;
  run.policies = summary.policies;
  run.seed = summary.origin.seed;
  run.incidents = summary.incidents;
  for (const Row& row : rows_of({summary})) {
    std::string key = row.key;
    std::replace(key.begin(), key.end(), ' ', '_');  // as in the other JSON
    if (const double value = row.value(summary); !key.empty() && !std::isnan(value)) run.figures[key] = value;
  }
  std::sort(sequences.begin(), sequences.end(), [](const SequenceResult& a, const SequenceResult& b) {
    return a.request != b.request ? a.request < b.request : a.fork < b.fork;
  });
  run.sequences = std::move(sequences);
  return run;
}

std::string to_text(const RunResult& run) {
  nlohmann::ordered_json head = {{"serveloop_ab", kFormat},
                                 {"fingerprint", run.fingerprint},
                                 {"arm", run.arm},
                                 {"repeat", run.repeat},
                                 {"seed", run.seed},
                                 {"policies", run.policies},
                                 {"figures", run.figures},
                                 {"incidents", run.incidents},
                                 {"outcomes", kOutcomeNames},
                                 {"columns", kColumns}};
  std::string out = head.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  for (const SequenceResult& sequence : run.sequences) {
    out += '[';
    for (const std::uint64_t cell : cells_of(sequence)) out += fmt::format("{},", cell);
    out.back() = ']';
    out += '\n';
  }
  return out + "\"end\"\n";
}

std::string fingerprint_in(std::string_view text) {
  const Json head = Json::parse(text.substr(0, text.find('\n')), nullptr, false);
  if (!head.is_object() || head.value("serveloop_ab", Json()) != kFormat || !text.ends_with("\n\"end\"\n"))
    return {};
  const Json mark = head.value("fingerprint", Json());
  return mark.is_string() ? mark.get<std::string>() : std::string();
}

Result<RunResult> parse_run(std::string_view text, std::string_view source_name) {
  const std::string name(source_name);
  if (fingerprint_in(text).empty())
    return fail(name, fmt::format("results of `serveloop ab`, format {}, whole", kFormat), "another file",
                "remove it, and run again");
  const std::vector<std::string_view> lines = lines_of(text);
  RunResult run;
  try {
    const Json head = Json::parse(lines[0]);
    run.fingerprint = head.at("fingerprint").get<std::string>();
    run.arm = head.at("arm").get<std::string>();
    run.repeat = head.at("repeat").get<std::uint64_t>();
    run.seed = head.at("seed").get<std::uint64_t>();
    run.policies = head.at("policies").get<std::vector<std::string>>();
    run.figures = head.at("figures").get<std::map<std::string, double>>();
    run.incidents = head.at("incidents").get<std::vector<std::string>>();
  } catch (const Json::exception& error) {
    return fail(name + ":1", "an object about a run", error.what(), "remove the file, and run again");
  }
  for (std::size_t i = 1; i + 1 < lines.size(); ++i) {
    Result<SequenceResult> sequence = parse_sequence(lines[i], fmt::format("{}:{}", name, i + 1));
    if (!sequence) return tl::unexpected(sequence.error());
    run.sequences.push_back(*sequence);
  }
  return run;
}

}  // namespace serveloop::experiment::ab
