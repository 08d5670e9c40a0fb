#include "server/backend.hpp"

namespace serveloop::server {
namespace {

class ServiceBackend final : public Backend {
 public:
  explicit ServiceBackend(service::Service& service) : service_(service) {}
  tl::expected<std::uint64_t, service::Refusal> submit(service::Ask ask,
                                                       std::shared_ptr<service::Receiver> receiver) override {
    return service_.submit(std::move(ask), std::move(receiver));
  }
  void cancel(std::uint64_t request) override { service_.cancel(request); }
  const service::Info& info() const override { return service_.info(); }
  const service::Text* text() const override { return service_.text(); }
  bool healthy() const override { return service_.healthy(); }
  service::Snapshot snapshot() override { return service_.snapshot(); }
  std::vector<service::PolicyInForce> policies() override { return service_.policies(); }
  tl::expected<void, service::SwapRefusal> swap(const service::SwapAsk& ask) override {
    return service_.swap(ask);
  }

 private:
  service::Service& service_;
};

}  // namespace

std::unique_ptr<Backend> backend_of(service::Service& service) {
  return std::make_unique<ServiceBackend>(service);
}

}  // namespace serveloop::server
