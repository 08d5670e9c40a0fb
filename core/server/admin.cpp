#include "server/admin.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/suggest.hpp"
#include "policy/search.hpp"
#include "server/json.hpp"
#include "server/json_text.hpp"
#include "server/toml_value.hpp"

namespace serveloop::server {
namespace {

constexpr std::string_view kPlace = "/admin/policy/";
const std::vector<std::string> kKinds{"scheduler", "gate", "eviction", "preemption", "precision"};
const std::vector<std::string> kFields{"plugin", "options", "gate"};

ApiResult<std::string> kind_of(const Request& request) {
  const std::string kind = request.path.substr(kPlace.size());
  if (std::find(kKinds.begin(), kKinds.end(), kind) != kKinds.end()) return kind;
  return refuse(404, fmt::format("there is no policy kind '{}'; {}", kind, did_you_mean(kind, kKinds)),
                "not_found");
}

std::string shown(const std::vector<service::PolicyInForce>& policies, std::string_view kind) {
  std::string out = R"({"policies":[)";
  bool first = true;
  for (const service::PolicyInForce& p : policies) {
    if (!kind.empty() && p.kind != kind) continue;
    if (!std::exchange(first, false)) out += ',';
    out += R"({"kind":)" + json_quoted(p.kind);
    if (!p.place.empty()) out += R"(,"gate":)" + json_quoted(p.place);
    out += R"(,"plugin":)" + json_quoted(p.id) + R"(,"version":)" + json_quoted(p.version) + R"(,"sha256":)" +
           json_quoted(p.sha256) + R"(,"options":)" + to_json(p.options) + "}";
  }
  return out + "]}";
}

// Nothing but an id reaches the loader: a manifest's, and no file's name.
bool is_plugin_id(std::string_view text) { return policy::is_name(text) && !policy::Search::is_path(text); }

ApiResult<std::string> text_field(const Json& body, const char* key) {
  const Json* found = body.find(key);
  if (found == nullptr || found->is_null()) return std::string();
  if (found->as_string() != nullptr) return *found->as_string();
  return refuse(key, fmt::format("{}: expected a string, found {}", key, found->describe()));
}

// {"plugin": id, "options": {...}, "gate": id}.
ApiResult<service::SwapAsk> read_swap(const Json& body, const std::string& kind) {
  if (body.as_object() == nullptr)
    return refuse("", "body: expected a JSON object, found " + body.describe());
  for (const auto& member : *body.as_object())
    if (std::find(kFields.begin(), kFields.end(), member.key) == kFields.end())
      return refuse(member.key,
                    fmt::format("unknown key '{}'; {}", member.key, did_you_mean(member.key, kFields)));
  service::SwapAsk ask;
  const ApiResult<std::string> plugin = text_field(body, "plugin");
  const ApiResult<std::string> gate = text_field(body, "gate");
  if (!plugin || !gate) return tl::unexpected(plugin ? gate.error() : plugin.error());
  if (!is_plugin_id(*plugin))
    return refuse(
        "plugin",
        "plugin: expected a plugin's id on the search path, no path and no options; add its folder to "
        "[policy] search, and state options as \"options\": {...}");
  if ((kind == "gate") != !gate->empty())
    return refuse("gate", kind == "gate" ? "gate: expected the id of the gate to change"
                                         : "gate: only with /admin/policy/gate");
  ask.kind = kind == "gate" ? policy::Kind::scheduler : *policy::kind_named(kind);
  ask.gate = *gate;
  ask.choice.plugin = *plugin;
  if (const Json* options = body.find("options"); options != nullptr && !options->is_null()) {
    if (options->as_object() == nullptr)
      return refuse("options", "options: expected an object, found " + options->describe());
    Result<toml::Value> converted = to_toml(*options);
    if (!converted) return refuse("options", converted.error().message());
    ask.choice.options = std::move(*converted);
  }
  return ask;
}

ApiResult<Response> change(Backend& backend, const Request& request) {
  const ApiResult<std::string> kind = kind_of(request);
  if (!kind) return tl::unexpected(kind.error());
  if (*kind == "precision")
    return refuse(
        409,
        "precision cannot be changed while the engine runs: weights and KV are held in its numbers; "
        "change [policy.precision] and start anew",
        "not_swappable");
  const Result<Json> body = parse_json(request.body);
  if (!body) return refuse("", "the request's body: " + body.error().message(), "invalid_json");
  const ApiResult<service::SwapAsk> ask = read_swap(*body, *kind);
  if (!ask) return tl::unexpected(ask.error());
  if (auto swapped = backend.swap(*ask); !swapped)
    return swapped.error().under_way ? refuse(409, swapped.error().error.message(), "swap_under_way")
                                     : refuse(422, swapped.error().error.message(), "swap_failed");
  return Response{200, "application/json", {}, shown(backend.policies(), *kind)};
}

}  // namespace

Router admin_routes(Backend& backend) {
  Router router;
  router.add(Method::get, "/admin/policy", [&backend](Request&) -> ApiResult<Response> {
    return Response{200, "application/json", {}, shown(backend.policies(), "")};
  });
  router.add(Method::get, std::string(kPlace), [&backend](Request& request) -> ApiResult<Response> {
    const ApiResult<std::string> kind = kind_of(request);
    if (!kind) return tl::unexpected(kind.error());
    return Response{200, "application/json", {}, shown(backend.policies(), *kind)};
  });
  router.add(Method::put, std::string(kPlace),
             [&backend](Request& request) { return change(backend, request); });
  return router;
}

}  // namespace serveloop::server
