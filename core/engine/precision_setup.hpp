// Asking a precision plugin for its plans, before the loop starts. Thread-safe where the plugin is not in use.
#pragma once

#include <serveloop/precision.h>

#include <span>
#include <vector>

#include "base/result.hpp"
#include "execute/executor.hpp"
#include "policy/kinds.hpp"

namespace serveloop::engine {

// One plan a key, as the plugin states them; unchecked.
Result<std::vector<sl_op_plan>> assign(policy::Precision& precision, std::span<const sl_op_key> keys,
                                       std::uint32_t mode);

// Each mode's plan is asked for, checked, given to the executor, and handed back as it took effect. The number of modes.
Result<std::uint32_t> set_up_precision(policy::Precision& precision, execute::Executor& executor,
                                       bool deterministic);

}  // namespace serveloop::engine
