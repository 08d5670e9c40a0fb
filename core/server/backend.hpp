// What HTTP needs of an engine: a part of service::Service, so that the server is tested without one. Any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "service/service.hpp"

namespace serveloop::server {

class Backend {
 public:
  virtual ~Backend() = default;
  virtual tl::expected<std::uint64_t, service::Refusal> submit(
      service::Ask ask, std::shared_ptr<service::Receiver> receiver) = 0;
  virtual void cancel(std::uint64_t request) = 0;
  virtual const service::Info& info() const = 0;
  virtual const service::Text* text() const = 0;  // null: prompts and answers are token ids
  virtual bool healthy() const = 0;
  virtual service::Snapshot snapshot() = 0;
  virtual std::vector<service::PolicyInForce> policies() = 0;
  virtual tl::expected<void, service::SwapRefusal> swap(const service::SwapAsk& ask) = 0;
};

// The real one. The service outlives it.
std::unique_ptr<Backend> backend_of(service::Service& service);

}  // namespace serveloop::server
