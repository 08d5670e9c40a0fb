// The rows of the tables: what is shown of a run's figures, and under which names.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "experiment/summary.hpp"

namespace serveloop::experiment {

struct Row {
  std::string label, key;                       // shown, in JSON; without a key it is of the table alone
  std::function<double(const Summary&)> value;  // kNone: there is none
  bool always = false;                          // shown though it is zero or has no value everywhere
};

// In order. The rows of decisions are those that any of the runs took.
std::vector<Row> rows_of(const std::vector<Summary>& runs);

std::string json_text(const std::string& text);  // in quotes

}  // namespace serveloop::experiment
