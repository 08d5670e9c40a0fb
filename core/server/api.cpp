#include "server/api.hpp"

#include <algorithm>

namespace serveloop::server {

Router api_routes(Api& api) {
  Router router;
  add_completions(router, api);
  add_texts(router, api);
  add_states(router, api);
  return router;
}

ApiResult<Caller> caller_of(const Api& api, const Request& request) {
  return api.keys.identify(request.authorization);
}

ApiResult<Json> json_body(const Request& request) {
  std::string type = request.content_type.substr(0, request.content_type.find(';'));
  type.erase(std::remove(type.begin(), type.end(), ' '), type.end());
  std::transform(type.begin(), type.end(), type.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
  // A web page may send a form or a text to any server, JSON it may not: so nothing else is read as JSON.
  if (!type.empty() && type != "application/json" && !type.ends_with("+json"))
    return refuse(415, "Content-Type: expected application/json, found " + type, "unsupported_media_type");
  Result<Json> json = parse_json(request.body);
  if (!json) return refuse("", "the request's body: " + json.error().message(), "invalid_json");
  return std::move(*json);
}

openai::Model model_of(const Api& api) {
  const service::Info& info = api.backend.info();
  return {info.model, info.vocabulary, api.backend.text() != nullptr};
}

}  // namespace serveloop::server
