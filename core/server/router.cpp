#include "server/router.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <exception>
#include <utility>

namespace serveloop::server {
namespace {

const char* name_of(Method method) {
  switch (method) {
    case Method::get: return "GET, HEAD";
    case Method::post: return "POST";
    case Method::put: return "PUT";
    default: return "";
  }
}

}  // namespace

void Router::add(Method method, std::string path, Handler handler) {
  routes_.push_back({method, std::move(path), std::move(handler)});
}

void Router::add(Method method, std::string path, Answer answer) {
  add(method, std::move(path),
      Handler([answer = std::move(answer)](Request request, const std::shared_ptr<Exchange>& exchange) {
        ApiResult<Response> response = answer(request);
        exchange->respond(response ? std::move(*response) : to_response(response.error()));
      }));
}

void Router::add_quick(Method method, std::string path, Answer answer) {
  add(method, std::move(path), std::move(answer));
  routes_.back().quick = true;
}

bool Router::Route::matches(std::string_view asked) const {
  return path.ends_with('/') ? asked.starts_with(path) : asked == path;
}

bool Router::is_quick(const Request& request) const {
  return std::any_of(routes_.begin(), routes_.end(),
                     [&](const Route& route) { return route.quick && route.matches(request.path); });
}

void Router::operator()(Request request, const std::shared_ptr<Exchange>& exchange) const {
  try {
    dispatch(std::move(request), exchange);
  } catch (const std::exception& error) {
    SPDLOG_ERROR("a request failed: {}", error.what());
    exchange->respond(to_response(failed_to_answer()));
  }
}

void Router::dispatch(Request request, const std::shared_ptr<Exchange>& exchange) const {
  const Method method = request.method == Method::head ? Method::get : request.method;
  std::string allowed;
  for (const Route& route : routes_) {
    if (!route.matches(request.path)) continue;
    if (route.method == method) return route.handler(std::move(request), exchange);
    allowed += (allowed.empty() ? "" : ", ") + std::string(name_of(route.method));
  }
  if (!allowed.empty())
    return exchange->respond(to_response({405,
                                          fmt::format("{}: expected one of {}", request.path, allowed),
                                          "",
                                          "method_not_allowed",
                                          {{"Allow", allowed}}}));
  exchange->respond(to_response({404, fmt::format("there is no {} here", request.path), "", "not_found"}));
}

}  // namespace serveloop::server
