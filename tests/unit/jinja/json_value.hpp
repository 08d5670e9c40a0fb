// JSON into values of the template language, keys in their order.
#pragma once

#include <string_view>

#include "text/jinja/value.hpp"

serveloop::text::jinja::Value value_of_json(std::string_view json);  // throws where it is none
