// An answer in one piece: what was told of a request as the JSON of a completion or a chat completion. Any thread.
#pragma once

#include <string>

#include "server/openai/tally.hpp"

namespace serveloop::server::openai {

// Requires all ends of all choices.
std::string whole_answer(const Shape& shape, const Told& told);

}  // namespace serveloop::server::openai
