#include "server/errors.hpp"

#include "server/json_text.hpp"

namespace serveloop::server {

const char* error_type(unsigned status) {
  switch (status) {
    case 401: return "authentication_error";
    case 403: return "permission_error";
    case 404: return "not_found_error";
    case 409: return "conflict_error";
    case 429: return "rate_limit_error";
    case 503: return "service_unavailable_error";
    default: return status < 500 ? "invalid_request_error" : "server_error";
  }
}

std::string error_body(const ApiError& error) {
  std::string out = R"({"error":{"message":)";
  append_json(out, error.message);
  out += R"(,"type":")";
  out += error_type(error.status);
  out += R"(","param":)";
  out += error.parameter.empty() ? "null" : json_quoted(error.parameter);
  out += R"(,"code":)";
  out += error.code.empty() ? "null" : json_quoted(error.code);
  out += "}}";
  return out;
}

Response to_response(const ApiError& error) {
  return {error.status, "application/json", error.headers, error_body(error)};
}

}  // namespace serveloop::server
