// Summaries side by side, as text and as JSON.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>

#include "experiment/summary.hpp"
#include "policy/host.hpp"
#include "policy/reasons.hpp"

namespace serveloop::experiment {

namespace {

using Number = std::function<double(const Summary&)>;

std::string show(double value) {
  if (std::isnan(value)) return "-";
  if (value == std::floor(value) && value < 1e15) return fmt::format("{:.0f}", value);
  if (value >= 1000) return fmt::format("{:.0f}", value);
  return fmt::format("{:.{}f}", value, value >= 100 ? 1 : value >= 10 ? 2 : 3);
}

double ratio(double a, double b) { return b > 0 ? a / b : kNone; }

struct Row {
  std::string label, key;  // shown, in JSON
  Number value;
  bool always = false;  // shown though it is zero or has no value everywhere
};

// A counter of the engine's.
Row counted(const char* label, const char* key, std::uint64_t engine::Counters::*what) {
  return {label, key, [what](const Summary& s) { return static_cast<double>(s.counters.*what); }};
}

std::vector<Row> work_rows() {
  using S = const Summary&;
  return {
      {"requests completed", "completed", [](S s) { return static_cast<double>(s.completed); }, true},
      {"  rejected", "rejected", [](S s) { return static_cast<double>(s.rejected); }},
      {"  cancelled", "cancelled", [](S s) { return static_cast<double>(s.cancelled); }},
      {"  past their deadline", "deadline", [](S s) { return static_cast<double>(s.deadline); }},
      {"  failed", "failed", [](S s) { return static_cast<double>(s.failed); }},
      {"  dropped", "dropped", [](S s) { return static_cast<double>(s.dropped); }, true},
      {"  unfinished", "unfinished", [](S s) { return static_cast<double>(s.unfinished); }},
      {"time of the run, s", "seconds", [](S s) { return s.seconds; }, true},
      {"first token p50, ms", "first_token_p50_ms", [](S s) { return s.first_token.p50; }, true},
      {"first token p90, ms", "first_token_p90_ms", [](S s) { return s.first_token.p90; }, true},
      {"first token p99, ms", "first_token_p99_ms", [](S s) { return s.first_token.p99; }, true},
      {"between tokens p50, ms", "between_tokens_p50_ms", [](S s) { return s.between_p50; }, true},
      {"between tokens p90, ms", "between_tokens_p90_ms", [](S s) { return s.between_p90; }, true},
      {"between tokens p99, ms", "between_tokens_p99_ms", [](S s) { return s.between_p99; }, true},
      {"longest gap of a request p99, ms", "longest_gap_p99_ms", [](S s) { return s.longest_gap_p99; }, true},
      {"end to end p50, ms", "end_to_end_p50_ms", [](S s) { return s.end_to_end.p50; }, true},
      {"end to end p90, ms", "end_to_end_p90_ms", [](S s) { return s.end_to_end.p90; }, true},
      {"end to end p99, ms", "end_to_end_p99_ms", [](S s) { return s.end_to_end.p99; }, true},
      {"output tokens/s", "output_tokens_per_s",
       [](S s) { return ratio(static_cast<double>(s.counters.output_tokens), s.seconds); }, true},
      {"steps", "steps", [](S s) { return static_cast<double>(s.counters.steps); }, true},
      {"rows a batch, mean", "batch_rows_mean",
       [](S s) {
         return ratio(static_cast<double>(s.counters.batch_rows), static_cast<double>(s.counters.steps));
       },
       true},
      {"device busy, %", "device_busy_percent",
       [](S s) { return 100 * ratio(static_cast<double>(s.counters.device_ns) * 1e-9, s.seconds); }, true},
      {"prefix hit tokens, % of prompt", "prefix_hit_percent",
       [](S s) {
         return 100 * ratio(static_cast<double>(s.counters.hit_tokens),
                            static_cast<double>(s.counters.lookup_tokens));
       },
       true},
      {"preemptions", "preemptions", [](S s) { return static_cast<double>(s.counters.preemptions); }, true},
      {"recomputed tokens", "recomputed_tokens",
       [](S s) { return static_cast<double>(s.counters.recomputed_tokens); }, true},
      {"evicted blocks", "evicted_blocks", [](S s) { return static_cast<double>(s.counters.evicted_blocks); },
       true},
  };
}

// What moved between device and host memory, and what could not.
std::vector<Row> host_rows() {
  using C = engine::Counters;
  return {
      counted("blocks demoted to host memory", "demoted_blocks", &C::demoted_blocks),
      counted("blocks brought back from there", "brought_in_blocks", &C::brought_in_blocks),
      counted("  of them by prefetch", "prefetched_blocks", &C::prefetched_blocks),
      counted("blocks dropped from there", "host_dropped_blocks", &C::host_dropped_blocks),
      counted("blocks in transit at once, most", "most_in_transit_blocks", &C::most_in_transit),
      counted("failed copies of blocks", "failed_block_copies", &C::copies_failed),
      counted("moves refused, host memory full", "host_full", &C::host_full),
      counted("moves refused, no host memory", "no_host_tier", &C::no_host_tier),
      counted("sequences swapped out", "swapped_out", &C::swapped_out),
      counted("  swapped in", "swapped_in", &C::swapped_in),
      counted("  lost, so computed again", "copies_lost", &C::copies_lost),
  };
}

std::vector<Row> policy_rows() {
  using S = const Summary&;
  return {
      {"answers taken by the fallback", "fallbacks",
       [](S s) {
         double sum = 0;
         for (const auto& [what, count] : s.counters.fallbacks) sum += static_cast<double>(count);
         return sum;
       },
       true},
      {"policies ejected", "ejected", [](S s) { return static_cast<double>(s.counters.ejected); }},
      {"hot swaps", "hot_swaps", [](S s) { return static_cast<double>(s.counters.swaps); }},
      {"failed steps", "failed_steps", [](S s) { return static_cast<double>(s.counters.failed_steps); }},
      {"wall time, s", "wall_seconds", [](S s) { return s.wall_seconds; }, true},
  };
}

std::vector<Row> rows() {
  std::vector<Row> all = work_rows();
  for (std::vector<Row> (*more)() : {host_rows, policy_rows})
    for (Row& row : more()) all.push_back(std::move(row));
  for (std::size_t i = 0; i < observe::kCauses; ++i) {
    const char* name = observe::name_of(static_cast<observe::Cause>(i));
    all.push_back(
        {fmt::format("time in {}, %", name), fmt::format("cause_{}_percent", name), [i](const Summary& s) {
           return 100 * ratio(static_cast<double>(s.causes[i]), static_cast<double>(observe::sum(s.causes)));
         }});
  }
  return all;
}

struct Line {
  std::string label;
  std::vector<std::string> cells;  // one a run
};

// A policy a line; runs with fewer gates begin lower.
void add_policies(const std::vector<Summary>& runs, std::vector<Line>& lines) {
  std::size_t most = 0;
  for (const Summary& run : runs) most = std::max(most, run.policies.size());
  for (std::size_t i = 0; i < most; ++i) {
    Line line{i == 0 ? "policies" : "", {}};
    for (const Summary& run : runs) {
      const std::size_t missing = most - run.policies.size();
      line.cells.push_back(i < missing ? "" : run.policies[i - missing]);
    }
    lines.push_back(std::move(line));
  }
}

std::vector<Line> lines_of(const std::vector<Summary>& runs) {
  std::vector<Line> lines(1);
  for (const Summary& run : runs)
    lines[0].cells.push_back(run.name + (run.interrupted ? " (interrupted)" : ""));
  add_policies(runs, lines);
  for (const Row& row : rows()) {
    const bool none = std::all_of(runs.begin(), runs.end(), [&](const Summary& s) {
      const double value = row.value(s);
      return value == 0 || std::isnan(value);
    });
    if (none && !row.always) continue;
    Line line{row.label, {}};
    for (const Summary& run : runs) line.cells.push_back(show(row.value(run)));
    lines.push_back(std::move(line));
  }
  return lines;
}

// The columns `from` to `to`, the labels in front of them.
std::string block(const std::vector<Line>& lines, std::size_t label, const std::vector<std::size_t>& widths,
                  std::size_t from, std::size_t to) {
  std::string out;
  for (const Line& line : lines) {
    out += line.label + std::string(label - line.label.size(), ' ');
    for (std::size_t i = from; i < to; ++i)
      out += std::string(widths[i] - line.cells[i].size(), ' ') + line.cells[i];
    out += '\n';
  }
  return out;
}

std::string columns(const std::vector<Summary>& runs, std::size_t width) {
  constexpr std::size_t kLeast = 10, kBetween = 2;
  const std::vector<Line> lines = lines_of(runs);
  std::size_t label = 0;
  std::vector<std::size_t> widths(runs.size(), kLeast + kBetween);
  for (const Line& line : lines) {
    label = std::max(label, line.label.size());
    for (std::size_t i = 0; i < runs.size(); ++i)
      widths[i] = std::max(widths[i], line.cells[i].size() + kBetween);
  }
  std::string out;
  for (std::size_t from = 0; from < runs.size();) {
    std::size_t to = from + 1, sum = label + widths[from];
    while (to < runs.size() && (width == 0 || sum + widths[to] <= width)) sum += widths[to++];
    out += (from == 0 ? "" : "\n") + block(lines, label, widths, from, to);
    from = to;
  }
  return out;
}

std::string notes(const Summary& run) {
  std::string out;
  if (run.interrupted)
    out += fmt::format("{}: interrupted at step {}: the figures are of what came before\n", run.name,
                       run.counters.steps);
  if (run.dropped > 0)
    out += fmt::format("{}: {} dropped; the first: {}\n", run.name,
                       run.dropped == 1 ? "1 request was" : fmt::format("{} requests were", run.dropped),
                       run.first_dropped);
  for (const auto& [what, count] : run.counters.fallbacks) {
    const char* reason = policy::core_reason_name(what.second);
    out +=
        fmt::format("{}: fallback answered {} x for the {}: {}\n", run.name, count,
                    policy::name_of(static_cast<policy::Kind>(what.first)), reason == nullptr ? "?" : reason);
  }
  if (run.counters.ejected > 0)
    out += fmt::format(
        "{}: {} ejected: from then on the figures are the linked-in policy's\n", run.name,
        run.counters.ejected == 1 ? "a policy was" : fmt::format("{} policies were", run.counters.ejected));
  for (const std::string& incident : run.incidents) out += fmt::format("{}: {}\n", run.name, incident);
  return out;
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

std::string quoted(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// Where the figures are from.
std::string origin(const Origin& from) {
  std::string out =
      fmt::format(", \"seed\": {}, \"engine_seed\": {}, \"swaps\": [", from.seed, from.engine_seed);
  for (std::size_t i = 0; i < from.swaps.size(); ++i) out += (i == 0 ? "" : ", ") + quoted(from.swaps[i]);
  out += "], \"plugins\": [";
  for (std::size_t i = 0; i < from.plugins.size(); ++i) {
    const rig::PluginMark& p = from.plugins[i];
    out += fmt::format("{}{{\"kind\": {}, \"id\": {}, \"version\": {}, \"sha256\": {}}}", i == 0 ? "" : ", ",
                       quoted(p.kind), quoted(p.id), quoted(p.version), quoted(p.sha256));
  }
  return out + "], \"config\": " + quoted(from.config_toml);
}

}  // namespace

std::string table(const std::vector<Summary>& runs, std::size_t width) {
  std::string out = columns(runs, width);
  for (const Summary& run : runs) out += notes(run);
  return out;
}

std::string to_json(const std::vector<Summary>& runs) {
  std::string out = "[";
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const Summary& run = runs[i];
    out += fmt::format("{}\n  {{\"name\": {}, \"policies\": {}, \"interrupted\": {}", i == 0 ? "" : ",",
                       quoted(run.name), quoted(joined(run.policies)), run.interrupted);
    for (const Row& row : rows()) {
      std::string key = row.key;
      std::replace(key.begin(), key.end(), ' ', '_');
      const double value = row.value(run);
      out += fmt::format(", \"{}\": {}", key, std::isnan(value) ? "null" : fmt::format("{}", value));
    }
    out += origin(run.origin) + "}";
  }
  return out + "\n]\n";
}

}  // namespace serveloop::experiment
