// The HTTP server: its listeners, its I/O thread, its workers. Knows sockets and an engine; what is said over them is
// api.hpp's and admin.hpp's.
//
// Thread safety: one thread starts, drains and ends it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/result.hpp"
#include "config/config.hpp"
#include "server/backend.hpp"

namespace serveloop::server {

struct ServerOptions {
  config::Server server;
  config::Admin admin;
  std::map<std::string, config::Tenant> tenants;
  std::string version;
  // At one time; each is a descriptor, and a few more while they are refused.
  std::uint32_t connections = 1024;
};

// Whether a server could listen there now: asked before a model is loaded, which takes long.
Status can_listen(const config::Server& server);

class Server {
 public:
  // Listens when it returns. The backend outlives it.
  static Result<std::unique_ptr<Server>> start(const ServerOptions& options, Backend& backend);
  ~Server();  // closes all connections, and waits for its threads
  Server(const Server&) = delete;

  std::string url() const;  // "http://127.0.0.1:8000"
  bool loopback() const;    // only this machine reaches it
  // Takes no new connections, and closes each as soon as it has its answer.
  void stop_listening();
  // Waits until no connection is open, but no longer.
  void finish(std::uint64_t longest_ns);

 private:
  struct Parts;
  explicit Server(std::shared_ptr<Parts> parts);
  std::shared_ptr<Parts> parts_;  // also of answers that the engine still holds
};

}  // namespace serveloop::server
