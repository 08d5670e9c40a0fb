#include "server/router.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

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

void Router::add(Method method, std::string path, std::function<ApiResult<Response>(Request&)> answer) {
  add(method, std::move(path),
      Handler([answer = std::move(answer)](Request request, const std::shared_ptr<Exchange>& exchange) {
        ApiResult<Response> response = answer(request);
        exchange->respond(response ? std::move(*response) : to_response(response.error()));
      }));
}

void Router::operator()(Request request, const std::shared_ptr<Exchange>& exchange) const {
  try {
    dispatch(std::move(request), exchange);
  } catch (const std::exception& error) {
    SPDLOG_ERROR("a request failed: {}", error.what());
    exchange->respond(to_response({500, "the server failed to answer; its log tells more"}));
  }
}

void Router::dispatch(Request request, const std::shared_ptr<Exchange>& exchange) const {
  const Method method = request.method == Method::head ? Method::get : request.method;
  std::string allowed;
  for (const Route& route : routes_) {
    const bool below = route.path.ends_with('/');
    if (below ? !request.path.starts_with(route.path) : request.path != route.path) continue;
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
