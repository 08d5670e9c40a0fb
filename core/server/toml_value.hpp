// JSON of a client as TOML values: a plugin's options. Fails on null, which TOML lacks, and on numbers beyond int64. Pure.
#pragma once

#include "base/toml.hpp"
#include "server/json.hpp"

namespace serveloop::server {

Result<toml::Value> to_toml(const Json& json);

}  // namespace serveloop::server
