// What the server's tests share: JSON by path, a text side with one token a byte.
#pragma once

#include <string>
#include <string_view>

#include "server/json.hpp"
#include "service/text.hpp"

namespace serveloop::server::test {

// Throws std::runtime_error where it is none.
Json json_of(std::string_view text);
// "choices.0.text": the value there; throws where there is none.
const Json& at(const Json& json, std::string_view path);
std::string text_at(const Json& json, std::string_view path);
double number_at(const Json& json, std::string_view path);
// The values of a stream's events, "[DONE]" not among them; throws where an event is none.
std::vector<Json> events_of(std::string_view stream);

// Ids 0 to 255 are bytes, 256 is <|im_end|>; a template writes <|role|>content.
const service::Text& byte_text();

}  // namespace serveloop::server::test
