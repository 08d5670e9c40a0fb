// What is wrong with a request, in the shape of OpenAI's API:
// {"error": {"message": ..., "type": ..., "param": ... or null, "code": ... or null}}. Plain values.
#pragma once

#include <string>
#include <utility>

#include "base/result.hpp"
#include "server/http.hpp"

namespace serveloop::server {

struct ApiError {
  unsigned status = 400;
  std::string message;
  std::string parameter;  // "max_tokens", "messages[1].role"; empty: none
  std::string code;       // "context_length_exceeded"; empty: none
  Headers headers = {};   // Retry-After, Allow, WWW-Authenticate
};

inline Headers retry_after_1s() { return {{"Retry-After", "1"}}; }

template <class T>
using ApiResult = tl::expected<T, ApiError>;
using ApiStatus = ApiResult<void>;

// 400 that names a parameter.
inline tl::unexpected<ApiError> refuse(std::string parameter, std::string message, std::string code = {}) {
  return tl::unexpected<ApiError>(ApiError{400, std::move(message), std::move(parameter), std::move(code)});
}
inline tl::unexpected<ApiError> refuse(unsigned status, std::string message, std::string code = {}) {
  return tl::unexpected<ApiError>(ApiError{status, std::move(message), {}, std::move(code)});
}

// 500, for what was thrown while an answer was made.
inline ApiError failed_to_answer() { return {500, "the server failed to answer; its log tells more"}; }

const char* error_type(unsigned status);  // "invalid_request_error"
// {"error": ...}: a body, and the event of a stream that has begun.
std::string error_body(const ApiError& error);
Response to_response(const ApiError& error);

}  // namespace serveloop::server
