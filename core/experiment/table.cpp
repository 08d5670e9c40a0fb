// Summaries side by side, as text and as JSON.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "experiment/columns.hpp"
#include "experiment/label_table.hpp"
#include "experiment/rows.hpp"
#include "policy/host.hpp"
#include "policy/reasons.hpp"

namespace serveloop::experiment {

namespace {

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
  for (const Row& row : rows_of(runs)) {
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

// All of them, as /metrics counts them.
std::string decisions(const Summary& run) {
  std::string out = ", \"decisions\": [";
  for (std::size_t i = 0; i < run.decisions.size(); ++i) {
    const engine::Decision& d = run.decisions[i];
    out += fmt::format("{}{{\"plugin\": {}, \"decision\": {}, \"reason\": {}, \"count\": {}}}",
                       i == 0 ? "" : ", ", json_text(d.plugin), json_text(d.decision), json_text(d.reason),
                       d.count);
  }
  return out + "]";
}

// Where the figures are from.
std::string origin(const Origin& from) {
  std::string out =
      fmt::format(", \"seed\": {}, \"engine_seed\": {}, \"swaps\": [", from.seed, from.engine_seed);
  for (std::size_t i = 0; i < from.swaps.size(); ++i) out += (i == 0 ? "" : ", ") + json_text(from.swaps[i]);
  out += "], \"plugins\": [";
  for (std::size_t i = 0; i < from.plugins.size(); ++i) {
    const rig::PluginMark& p = from.plugins[i];
    out += fmt::format("{}{{\"kind\": {}, \"id\": {}, \"version\": {}, \"sha256\": {}}}", i == 0 ? "" : ", ",
                       json_text(p.kind), json_text(p.id), json_text(p.version), json_text(p.sha256));
  }
  return out + "], \"config\": " + json_text(from.config_toml);
}

}  // namespace

std::string json_text(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string table(const std::vector<Summary>& runs, std::size_t width) {
  std::string out = columns(lines_of(runs), width) + label_tables(runs);
  for (const Summary& run : runs) out += notes(run);
  return out;
}

std::string to_json(const std::vector<Summary>& runs) {
  std::string out = "[";
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const Summary& run = runs[i];
    out += fmt::format("{}\n  {{\"name\": {}, \"policies\": {}, \"interrupted\": {}", i == 0 ? "" : ",",
                       json_text(run.name), json_text(joined(run.policies)), run.interrupted);
    for (const Row& row : rows_of({run})) {
      if (row.key.empty()) continue;  // it is among the decisions
      std::string key = row.key;
      std::replace(key.begin(), key.end(), ' ', '_');
      const double value = row.value(run);
      out += fmt::format(", \"{}\": {}", key, std::isnan(value) ? "null" : fmt::format("{}", value));
    }
    out += label_json(run) + decisions(run) + origin(run.origin) + "}";
  }
  return out + "\n]\n";
}

}  // namespace serveloop::experiment
