// HTTP/1.1 on the wire, as far as answers and paths go (RFC 9110, RFC 9112). Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "server/http.hpp"

namespace serveloop::server {

// Status line and headers, with the empty line. `content_bytes` absent: chunked, or until the connection closes.
std::string head_text(const Response& response, std::string_view request_id, bool keep_alive,
                      std::optional<std::size_t> content_bytes, bool chunked = false);
// One chunk of chunked transfer coding. Requires bytes: an empty one would end the body.
void append_chunk(std::string& out, std::string_view bytes);
// The client's X-Request-ID where it is short and printable, else 24 random hex digits.
std::string request_id(std::string_view from_client);
std::string random_id();
// A request target's path without the query, percent-decoded; nothing where it is none.
std::optional<std::string> decoded_path(std::string_view target);

}  // namespace serveloop::server
