// What clients may ask over HTTP: OpenAI's endpoints and what surrounds them. Any thread.
#pragma once

#include "server/auth.hpp"
#include "server/backend.hpp"
#include "server/http_counts.hpp"
#include "server/json.hpp"
#include "server/openai/request.hpp"
#include "server/prompt_encoder.hpp"
#include "server/router.hpp"

namespace serveloop::server {

// What the endpoints read; outlives the router.
struct Api {
  Backend& backend;
  Keys keys;
  HttpCounts& counts;
  std::string version;
  PromptEncoder encoder;

  Api(Backend& engine, const std::map<std::string, config::Tenant>& tenants, HttpCounts& counters,
      std::string program)
      : backend(engine), keys(tenants), counts(counters), version(std::move(program)), encoder(engine) {}
};

Router api_routes(Api& api);

// Parts of it, one file each.
void add_completions(Router& router, Api& api);  // /v1/completions, /v1/chat/completions
void add_texts(Router& router, Api& api);        // /tokenize, /detokenize
void add_states(Router& router, Api& api);       // /health, /ready, /version, /metrics, /v1/models

// Shared by them. The caller, or 401.
ApiResult<Caller> caller_of(const Api& api, const Request& request);
// The body as JSON; what is none, or is not said to be any, is 400 or 415.
ApiResult<Json> json_body(const Request& request);
openai::Model model_of(const Api& api);

}  // namespace serveloop::server
