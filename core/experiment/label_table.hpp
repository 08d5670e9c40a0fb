// The tables below the main one: a line for each class and for each tenant, with several runs one below the other.
#pragma once

#include <string>
#include <vector>

#include "experiment/summary.hpp"

namespace serveloop::experiment {

// Empty where no run tells any apart. Of many labels the first are shown; the JSON holds all.
std::string label_tables(const std::vector<Summary>& runs);
// `, "classes": [...], "tenants": [...]` of one run.
std::string label_json(const Summary& run);

}  // namespace serveloop::experiment
