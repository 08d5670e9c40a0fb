// Text in columns: labels at the left, numbers under the headings of what they are of. Thread-safe: pure functions.
#pragma once

#include <string>
#include <vector>

namespace serveloop::experiment {

struct Line {
  std::string label;
  std::vector<std::string> cells;  // as many as in the other lines
};

// "226.4", "13830"; "-" for kNone.
std::string show(double value);

// Cells to the right of their columns. Those that `width` characters do not hold follow in a block below, behind the labels
// and the first `repeated` columns again (width 0: no limit).
std::string columns(const std::vector<Line>& lines, std::size_t width, std::size_t repeated = 0);

}  // namespace serveloop::experiment
