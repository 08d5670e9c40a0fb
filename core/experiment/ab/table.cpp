// The table: a line a metric; of each arm its value, how far that is from the baseline's with the interval, and the verdict.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "base/joined.hpp"
#include "experiment/ab/report.hpp"
#include "experiment/columns.hpp"

namespace serveloop::experiment::ab {

namespace {

using Parts = std::array<std::string, 4>;  // value, difference, interval, verdict

// "+118", "-4.6", "0": three digits or so, with a sign.
std::string signed_text(double value) {
  if (std::isnan(value)) return "-";
  const double size = std::abs(value);
  if (size < 0.005) return "0";
  return fmt::format("{:+.{}f}", value, size >= 99.5 ? 0 : size >= 9.95 ? 1 : 2);
}

// `baseline`: what its column shows. Over the few requests that both completed it may be far from what is compared.
Parts parts_of(const Difference& d, double baseline) {
  Parts parts{show(d.value), "", "", name_of(d.verdict)};
  const bool relative = !std::isnan(d.percent);
  if (d.verdict == Verdict::too_little_data && d.baseline != baseline) return parts;
  parts[1] = relative ? signed_text(d.percent) + " %" : signed_text(d.difference);
  if (d.verdict == Verdict::too_little_data) return parts;
  parts[2] = fmt::format("[{}, {}]", signed_text(relative ? d.percent_low : d.low),
                         signed_text(relative ? d.percent_high : d.high));
  return parts;
}

std::string padded(const std::string& text, std::size_t width, bool to_the_left = false) {
  const std::string space(width - text.size(), ' ');
  return to_the_left ? text + space : space + text;
}

// An arm's cells, of one width, their parts under each other; the first is its name.
std::vector<std::string> cells_of(const ArmComparison& arm, const ArmComparison& baseline) {
  std::vector<Parts> all;
  std::array<std::size_t, 4> widths{};
  for (std::size_t i = 0; i < arm.metrics.size(); ++i)
    all.push_back(parts_of(arm.metrics[i], baseline.metrics[i].value));
  for (const Parts& parts : all)
    for (std::size_t i = 0; i < parts.size(); ++i) widths[i] = std::max(widths[i], parts[i].size());
  std::vector<std::string> cells{""};
  for (const Parts& parts : all)
    cells.push_back(padded(parts[0], widths[0]) + "  " + padded(parts[1], widths[1]) + " " +
                    padded(parts[2], widths[2]) + "  " + padded(parts[3], widths[3], true));
  const std::size_t width = std::max(all.empty() ? 0 : cells.back().size(), arm.name.size());
  for (std::string& cell : cells) cell = padded(cell, width);
  // Above the values, as the baseline's is above its own.
  const std::size_t value = std::max(widths[0], arm.name.size());
  cells[0] = padded(padded(arm.name, value), width, true);
  return cells;
}

std::string thousands(std::uint64_t number) {
  std::string text = std::to_string(number);
  for (std::size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, ",");
  return text;
}

std::string counted(std::uint64_t number, const char* one, const char* many) {
  return thousands(number) + " " + (number == 1 ? one : many);
}

// How the figures came about, in two lines.
std::string method(const Comparison& c) {
  std::string repeats = counted(c.repeats, "repeat", "repeats");
  if (c.streams < c.repeats) repeats += " of " + counted(c.streams, "stream", "streams");
  std::string out =
      fmt::format("{} requests in {}; differences from {}, with {:g} % intervals over\n{} of {:.3g} s",
                  thousands(c.sequences), repeats, c.arms[c.baseline].name, 100 * c.options.confidence,
                  counted(c.blocks, "block", "blocks"), c.block_s);
  if (c.options.real_time) out += ", no narrower than by Student's t over the repeats";
  return out + "; of figures of a run by Student's t over the repeats\n";
}

void note_outcomes(const Comparison& c, const ArmComparison& arm, std::vector<std::string>& notes) {
  const std::string& baseline = c.arms[c.baseline].name;
  if (arm.only_here + arm.only_baseline == 0) return;
  std::vector<std::string> ends;
  for (std::size_t i = 1; i < kOutcomes; ++i)
    if (arm.outcomes[i] > 0)
      ends.push_back(fmt::format("{} {}", arm.outcomes[i], name_of(static_cast<Outcome>(i))));
  if (arm.unfinished > 0) ends.push_back(fmt::format("{} unfinished", arm.unfinished));
  notes.push_back(
      fmt::format("{}: {} completed in {} alone, {} here alone{}; latencies are of those that both completed",
                  arm.name, counted(arm.only_baseline, "request", "requests"), baseline, arm.only_here,
                  ends.empty() ? "" : " (" + joined(ends) + ")"));
}

// Metrics without a verdict, by what they lack.
void note_lacking(const ArmComparison& arm, std::vector<std::string>& notes) {
  std::vector<std::string> reasons;
  std::map<std::string, std::vector<std::string>> labels;
  for (const Difference& d : arm.metrics) {
    if (d.why.empty()) continue;
    if (labels[d.why].empty()) reasons.push_back(d.why);
    labels[d.why].push_back(d.metric->label);
  }
  for (const std::string& why : reasons) {
    const std::vector<std::string>& of = labels[why];
    const std::string which = of.size() == 1                    ? of[0]
                              : of.size() == arm.metrics.size() ? "all metrics"
                                                                : fmt::format("{} metrics", of.size());
    notes.push_back(fmt::format("{}: too little data for {}: {}", arm.name, which, why));
  }
}

double sum_of(const ArmRuns& arm, const std::string& figure) {
  double sum = 0;
  for (const RunResult& run : arm.runs)
    if (const auto found = run.figures.find(figure); found != run.figures.end()) sum += found->second;
  return sum;
}

void note_runs(const ArmRuns& arm, std::vector<std::string>& notes) {
  if (const double answers = sum_of(arm, "fallbacks"); answers > 0)
    notes.push_back(fmt::format("{}: the fallback answered {:.0f} x for a policy", arm.name, answers));
  if (const double ejected = sum_of(arm, "ejected"); ejected > 0)
    notes.push_back(
        fmt::format("{}: {:.0f} x a policy was ejected: from then on the figures are the linked-in policy's",
                    arm.name, ejected));
  if (const double unfinished = sum_of(arm, "unfinished"); unfinished > 0)
    notes.push_back(fmt::format("{}: {:.0f} requests stayed unfinished", arm.name, unfinished));
}

}  // namespace

std::vector<std::string> notes_of(const Comparison& comparison, const std::vector<ArmRuns>& arms) {
  std::vector<std::string> notes;
  for (std::size_t i = 0; i < arms.size(); ++i) {
    if (i != comparison.baseline) {
      note_outcomes(comparison, comparison.arms[i], notes);
      note_lacking(comparison.arms[i], notes);
    }
    note_runs(arms[i], notes);
  }
  return notes;
}

std::string table(const Comparison& comparison, const std::vector<std::string>& notes, std::size_t width) {
  const ArmComparison& baseline = comparison.arms[comparison.baseline];
  std::vector<Line> lines{{"", {baseline.name}}};
  for (std::size_t i = 0; i < comparison.metrics.size(); ++i)
    lines.push_back({comparison.metrics[i]->label, {show(baseline.metrics[i].value)}});
  for (std::size_t i = 0; i < comparison.arms.size(); ++i) {
    if (i == comparison.baseline) continue;
    const std::vector<std::string> cells = cells_of(comparison.arms[i], baseline);
    for (std::size_t line = 0; line < lines.size(); ++line) lines[line].cells.push_back(cells[line]);
  }
  std::string out = columns(lines, width, 1) + "\n" + method(comparison);
  for (const std::string& note : notes) out += note + "\n";
  return out;
}

}  // namespace serveloop::experiment::ab
