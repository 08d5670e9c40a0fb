// Reads one [options.<name>] table of a manifest. Thread safety: pure.
#pragma once

#include "policy/manifest.hpp"

namespace serveloop::policy {

Result<OptionSpec> read_option_spec(const std::string& name, const toml::Value& table);

}  // namespace serveloop::policy
