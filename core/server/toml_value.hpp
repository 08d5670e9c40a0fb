// A plugin's options between JSON and TOML. Pure.
#pragma once

#include "base/toml.hpp"
#include "server/json.hpp"

namespace serveloop::server {

// Fails on null, which TOML lacks, and on numbers beyond int64.
Result<toml::Value> to_toml(const Json& json);
// What to_toml() reads back to an equal value, but for TOML's infinities and NaN, which are null.
std::string to_json(const toml::Value& value);

}  // namespace serveloop::server
