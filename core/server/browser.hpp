// What keeps web pages away from a server on their reader's own machine. Pure.
//
// A page may send a form, a text or bytes of no type to any server, without asking; JSON it may not (WHATWG Fetch,
// "CORS-safelisted request-header"). A page whose own name is made to point to 127.0.0.1 (DNS rebinding) may send and
// read all; but its requests carry that name as their Host.
#pragma once

#include <string_view>

#include "server/errors.hpp"

namespace serveloop::server {

// 403 unless `host`, a Host header's value, is localhost or an address: names that nobody can make point elsewhere.
ApiStatus check_host(std::string_view host);
// 415 unless the body is said to be JSON. A request without a type passes if it comes from no page.
ApiStatus check_json_type(const Request& request);

}  // namespace serveloop::server
