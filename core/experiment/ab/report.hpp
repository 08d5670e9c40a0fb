// A comparison as a table for a terminal and as JSON. Thread-safe: pure functions.
#pragma once

#include <string>
#include <vector>

#include "experiment/ab/compare.hpp"
#include "experiment/ab/plan.hpp"

namespace serveloop::experiment::ab {

// What a reader must know beside the figures, a line each: requests that only one arm completed, verdicts that lack data and
// why, answers of the fallback, ejected policies, requests that stayed unfinished.
std::vector<std::string> notes_of(const Comparison& comparison, const std::vector<ArmRuns>& arms);

// An arm's column beside the baseline's; columns that `width` characters do not hold follow in blocks below (0: no limit).
std::string table(const Comparison& comparison, const std::vector<std::string>& notes, std::size_t width);

// All of it, and where the figures are from; docs/AB.md lists the keys.
std::string to_json(const Comparison& comparison, const std::vector<std::string>& notes, const Plan& plan,
                    const std::vector<ArmRuns>& arms);

// The name of a run's file in the folder of the results: "sarathi.1.jsonl".
std::string file_of(const std::string& arm, std::uint64_t repeat);

}  // namespace serveloop::experiment::ab
