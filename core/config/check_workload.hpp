// What concerns more than one key of [workload]. Thread-safe: pure functions.
#pragma once

#include "base/result.hpp"
#include "base/toml.hpp"
#include "config/places.hpp"
#include "config/workload.hpp"

namespace serveloop::config {

inline constexpr const char* kSourceForm =
    "trace = \"PATH\" or source = \"synthetic\", \"sessions\" or \"programs\"";

// Fills in `source` and `format` where they follow from `trace`; refuses keys of one source beside another, since they
// would do nothing, and values that go with no other.
Status check_workload(Workload& workload, const Places& places);

// Takes the keys of the other source, which hold defaults, out of a dumped configuration.
void keep_workload_keys(toml::Value& document, const Workload& workload);

}  // namespace serveloop::config
