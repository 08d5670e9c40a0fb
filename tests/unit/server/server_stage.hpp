// A server over a fake engine, on any free port.
#pragma once

#include <boost/test/unit_test.hpp>
#include <memory>

#include "client.hpp"
#include "fake.hpp"
#include "helpers.hpp"
#include "server/server.hpp"

namespace serveloop::server::test {

inline ServerOptions any_port() {
  ServerOptions options;
  options.server.port = 0;
  options.version = "1.2.3";
  return options;
}

inline std::unique_ptr<Server> started(Backend& engine, const ServerOptions& options = any_port()) {
  auto server = Server::start(options, engine);
  BOOST_REQUIRE_MESSAGE(server.has_value(), (server ? "" : server.error().message()));
  return std::move(*server);
}

struct Stage {
  explicit Stage(std::chrono::microseconds step = {}, const ServerOptions& options = any_port())
      : engine(&byte_text(), step), server(started(engine, options)) {}
  Client client() const { return Client(server->url()); }
  FakeEngine engine;
  std::unique_ptr<Server> server;
};

}  // namespace serveloop::server::test
