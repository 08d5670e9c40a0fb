#include "server/api.hpp"

#include "server/browser.hpp"

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
  if (ApiStatus json = check_json_type(request); !json) return tl::unexpected(json.error());
  Result<Json> json = parse_json(request.body);
  if (!json) return refuse("", "the request's body: " + json.error().message(), "invalid_json");
  return std::move(*json);
}

openai::Model model_of(const Api& api) {
  const service::Info& info = api.backend.info();
  return {info.model, info.vocabulary, api.backend.text() != nullptr};
}

}  // namespace serveloop::server
