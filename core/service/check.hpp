// What `serve --check` does: everything that a start needs is loaded and checked, nothing is started.
#pragma once

#include <string>

#include "base/result.hpp"
#include "config/config.hpp"

namespace serveloop::service {

// The memory plan and how many sequences fit, as lines of text.
Result<std::string> check(const config::Config& config);

}  // namespace serveloop::service
