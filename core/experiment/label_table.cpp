#include "experiment/label_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <set>

#include "experiment/columns.hpp"
#include "experiment/rows.hpp"

namespace serveloop::experiment {

namespace {

using Labels = std::vector<LabelFigures> Summary::*;
constexpr std::size_t kShown = 32;  // labels of a table

struct Column {
  const char *heading, *key;
  std::function<double(const LabelFigures&)> value;
};

const std::vector<Column>& columns() {
  using F = const LabelFigures&;
  static const std::vector<Column> all = {
      {"requests", "ended", [](F f) { return static_cast<double>(f.ended); }},
      {"completed", "completed", [](F f) { return static_cast<double>(f.completed); }},
      {"first token p50, ms", "first_token_p50_ms", [](F f) { return f.first_token.p50; }},
      {"p99, ms", "first_token_p99_ms", [](F f) { return f.first_token.p99; }},
      {"end to end p50, ms", "end_to_end_p50_ms", [](F f) { return f.end_to_end.p50; }},
      {"p99, ms", "end_to_end_p99_ms", [](F f) { return f.end_to_end.p99; }},
      {"deadlines met, %", "deadlines_met_percent", [](F f) {
         return f.goodput.stated == 0
                    ? kNone
                    : 100 * static_cast<double>(f.goodput.met) / static_cast<double>(f.goodput.stated);
       }}};
  return all;
}

using Cells = std::vector<std::string>;

Cells cells_of(const LabelFigures& figures, const std::string& run, bool several) {
  Cells cells{"  " + (figures.label.empty() ? "(none)" : figures.label)};
  if (several) cells.push_back(run);
  for (const Column& column : columns()) cells.push_back(show(column.value(figures)));
  return cells;
}

// Names are left, numbers right.
std::string aligned(const std::vector<Cells>& lines, std::size_t names) {
  std::vector<std::size_t> widths(lines.front().size());
  for (const Cells& line : lines)
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  std::string out;
  for (const Cells& line : lines) {
    for (std::size_t i = 0; i < line.size(); ++i) {
      const std::string gap(widths[i] - line[i].size(), ' ');
      out += (i == 0 ? "" : "  ") + (i < names ? line[i] + gap : gap + line[i]);
    }
    out += '\n';
  }
  return out;
}

std::string table_of(const std::vector<Summary>& runs, const char* heading, Labels which) {
  std::set<std::string> labels;
  for (const Summary& run : runs)
    for (const LabelFigures& f : run.*which) labels.insert(f.label);
  if (labels.empty()) return {};
  const bool several = runs.size() > 1;
  std::vector<Cells> lines{{heading}};
  if (several) lines[0].emplace_back("");
  for (const Column& column : columns()) lines[0].emplace_back(column.heading);
  std::size_t shown = 0;
  for (const std::string& label : labels) {
    if (shown++ == kShown) break;
    for (const Summary& run : runs)
      for (const LabelFigures& f : run.*which)
        if (f.label == label) lines.push_back(cells_of(f, run.name, several));
  }
  std::string out = "\n" + aligned(lines, several ? 2 : 1);
  if (labels.size() > kShown) out += fmt::format("  and {} more: --json\n", labels.size() - kShown);
  return out;
}

}  // namespace

std::string label_tables(const std::vector<Summary>& runs) {
  return table_of(runs, "by class", &Summary::classes) + table_of(runs, "by tenant", &Summary::tenants);
}

std::string label_json(const Summary& run) {
  std::string out;
  const std::pair<const char*, Labels> tables[] = {{"classes", &Summary::classes},
                                                   {"tenants", &Summary::tenants}};
  for (const auto& [name, which] : tables) {
    out += fmt::format(", \"{}\": [", name);
    for (const LabelFigures& f : run.*which) {
      out += fmt::format("{}{{\"label\": {}", &f == &(run.*which).front() ? "" : ", ", json_text(f.label));
      for (const Column& column : columns()) {
        const double value = column.value(f);
        out += fmt::format(", \"{}\": {}", column.key, std::isnan(value) ? "null" : fmt::format("{}", value));
      }
      out += "}";
    }
    out += "]";
  }
  return out;
}

}  // namespace serveloop::experiment
