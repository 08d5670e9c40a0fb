// Clients' JSON as values of the template language, keys in their order. Pure.
#pragma once

#include "server/json.hpp"
#include "text/jinja/value.hpp"

namespace serveloop::server {

// Deeper than JSON that is read once: arguments of tool calls are JSON inside JSON.
inline constexpr std::size_t kMostArgumentDepth = 30;

// Requires a depth below text::jinja::kMaxValueDepth.
text::jinja::Value to_jinja(const Json& json);

}  // namespace serveloop::server
