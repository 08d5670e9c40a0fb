// /health, /ready, /version, /metrics, /v1/models: what the server says of itself.
#include <fmt/format.h>

#include <memory>
#include <mutex>

#include "server/api.hpp"
#include "server/json_text.hpp"
#include "server/metrics_text.hpp"

namespace serveloop::server {
namespace {

// A snapshot waits for a step's border, so at most one worker does: who comes meanwhile gets the last one.
class Snapshots {
 public:
  explicit Snapshots(Backend& backend) : backend_(backend) {}
  std::shared_ptr<const service::Snapshot> take() {
    {
      const std::lock_guard lock(mutex_);
      if (busy_ && last_ != nullptr) return last_;
      busy_ = true;
    }
    const Busy busy(*this);
    auto fresh = std::make_shared<const service::Snapshot>(backend_.snapshot());
    const std::lock_guard lock(mutex_);
    return last_ = std::move(fresh);
  }

 private:
  struct Busy {  // until the snapshot is there, or failed
    explicit Busy(Snapshots& of) : snapshots(of) {}
    Busy(const Busy&) = delete;
    ~Busy() {
      const std::lock_guard lock(snapshots.mutex_);
      snapshots.busy_ = false;
    }
    Snapshots& snapshots;
  };
  Backend& backend_;
  std::mutex mutex_;
  std::shared_ptr<const service::Snapshot> last_;
  bool busy_ = false;
};

ApiResult<Response> health(const Api& api) {
  if (!api.backend.healthy()) return refuse(503, "the engine is ending or has failed", "unhealthy");
  return Response{200, "application/json", {}, R"({"status":"ok"})"};
}

std::string model_json(const service::Info& info) {
  return fmt::format(
      R"({{"id":{0},"object":"model","created":{1},"owned_by":"serveloop","root":{0},"parent":null,)"
      R"("max_model_len":{2},"permission":[]}})",
      json_quoted(info.model), info.created_s, info.longest_request);
}

ApiResult<Response> models(const Api& api, const Request& request) {
  if (ApiResult<Caller> caller = caller_of(api, request); !caller) return tl::unexpected(caller.error());
  return Response{
      200, "application/json", {}, R"({"object":"list","data":[)" + model_json(api.backend.info()) + "]}"};
}

ApiResult<Response> one_model(const Api& api, const Request& request) {
  if (ApiResult<Caller> caller = caller_of(api, request); !caller) return tl::unexpected(caller.error());
  const std::string name = request.path.substr(std::string_view("/v1/models/").size());
  if (name != api.backend.info().model)
    return tl::unexpected(
        ApiError{404, fmt::format("model '{}' does not exist", name), "model", "model_not_found"});
  return Response{200, "application/json", {}, model_json(api.backend.info())};
}

}  // namespace

void add_states(Router& router, Api& api) {
  router.add_quick(Method::get, "/health", [&api](Request&) { return health(api); });
  router.add_quick(Method::get, "/ready", [&api](Request&) { return health(api); });
  router.add(Method::get, "/version", [&api](Request&) -> ApiResult<Response> {
    return Response{200, "application/json", {}, R"({"version":)" + json_quoted(api.version) + "}"};
  });
  const auto snapshots = std::make_shared<Snapshots>(api.backend);
  router.add(Method::get, "/metrics", [&api, snapshots](Request&) -> ApiResult<Response> {
    return Response{200,
                    "text/plain; version=0.0.4; charset=utf-8",
                    {},
                    metrics_text(*snapshots->take(), api.backend.info(), api.counts)};
  });
  router.add(Method::get, "/v1/models", [&api](Request& request) { return models(api, request); });
  router.add(Method::get, "/v1/models/", [&api](Request& request) { return one_model(api, request); });
}

}  // namespace serveloop::server
