// Is a precision plan one that law 1 and the format rules allow?
#pragma once

#include <serveloop/precision.h>

#include <span>

#include "base/result.hpp"

namespace serveloop::engine {

// In deterministic mode activation scales must be local to a row (token, group): others depend on the batch.
Status check_precision(std::span<const sl_op_key> keys, std::span<const sl_op_plan> plans,
                       bool deterministic);

}  // namespace serveloop::engine
