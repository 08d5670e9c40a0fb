#include "experiment/columns.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace serveloop::experiment {

namespace {

using Widths = std::vector<std::size_t>;

void append(const Line& line, const Widths& widths, std::size_t from, std::size_t to, std::string& out) {
  for (std::size_t i = from; i < to; ++i)
    out += std::string(widths[i] - line.cells[i].size(), ' ') + line.cells[i];
}

}  // namespace

std::string show(double value) {
  if (std::isnan(value)) return "-";
  if (value == std::floor(value) && value < 1e15) return fmt::format("{:.0f}", value);
  if (value >= 1000) return fmt::format("{:.0f}", value);
  return fmt::format("{:.{}f}", value, value >= 100 ? 1 : value >= 10 ? 2 : 3);
}

std::string columns(const std::vector<Line>& lines, std::size_t width, std::size_t repeated) {
  constexpr std::size_t kLeast = 10, kBetween = 2;
  std::size_t label = 0;
  Widths widths(lines.front().cells.size(), kLeast + kBetween);
  for (const Line& line : lines) {
    label = std::max(label, line.label.size());
    for (std::size_t i = 0; i < widths.size(); ++i)
      widths[i] = std::max(widths[i], line.cells[i].size() + kBetween);
  }
  std::size_t front = label;  // what each block begins with
  for (std::size_t i = 0; i < repeated; ++i) front += widths[i];
  std::string out;
  for (std::size_t from = repeated; from < widths.size();) {
    std::size_t to = from + 1, sum = front + widths[from];
    while (to < widths.size() && (width == 0 || sum + widths[to] <= width)) sum += widths[to++];
    if (from > repeated) out += '\n';
    for (const Line& line : lines) {
      out += line.label + std::string(label - line.label.size(), ' ');
      append(line, widths, 0, repeated, out);
      append(line, widths, from, to, out);
      out.erase(out.find_last_not_of(' ') + 1);
      out += '\n';
    }
    from = to;
  }
  return out;
}

}  // namespace serveloop::experiment
