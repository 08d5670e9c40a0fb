// What arms are compared by: the time to the first token, its 99th percentile, and so on. Thread-safe: immutable.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "experiment/ab/result.hpp"

namespace serveloop::experiment::ab {

// What a sequence adds to a quantity: an amount of a whole, such as 3 hit tokens of a prompt of 10; a latency has 1.
struct Share {
  double amount = 0, whole = 1;
};

enum class Population : std::uint8_t {
  both,  // sequences that both arms completed: who serves fewer would look faster else
  all    // every sequence; one that an arm left unfinished did nothing there
};

// What sequences have. `share`: null for one that did not end in this run; nothing where it does not count.
struct Quantity {
  Population population;
  std::optional<Share> (*share)(const SequenceResult* sequence);
};

struct Metric {
  std::string key, label;  // "first_token_p99_ms", "first token p99, ms"
  bool lower_is_better;
  const Quantity* quantity;    // null: a figure of a run as a whole, under the same key in RunResult::figures
  double percentile = 0;       // 0: the mean
  double left_out_where = 0;   // shown only if an arm has another value
  bool only_if_asked = false;  // it is of this machine's time, so that equal runs differ by it
};

const std::vector<Metric>& metrics();
// Names those that there are where one is unknown.
Status check_metrics(const std::vector<std::string>& keys);

}  // namespace serveloop::experiment::ab
