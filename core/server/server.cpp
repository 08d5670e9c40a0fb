#include "server/server.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <thread>

#include "server/admin.hpp"
#include "server/api.hpp"
#include "server/connection.hpp"
#include "server/listener.hpp"

namespace serveloop::server {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kWorkers = 2;  // parse, tokenise, write whole answers
// A change of policy holds one for up to a minute; the next is refused at once, and a look needs another.
constexpr std::size_t kAdminWorkers = 4;
constexpr std::uint32_t kAdminConnections = 16;

HttpLimits http_limits(const ServerOptions& options) {
  HttpLimits limits;
  limits.connections = options.connections;
  return limits;
}

HttpLimits admin_limits() {
  HttpLimits limits;
  limits.connections = kAdminConnections;
  limits.body_bytes = std::size_t{1} << 20;
  return limits;
}

}  // namespace

struct Server::Parts {
  Parts(const ServerOptions& options, Backend& backend)
      : api(backend, options.tenants, counts, options.version),
        http(io, http_limits(options), api_routes(api), counts, kWorkers),
        admin(io, admin_limits(), admin_routes(backend), admin_counts, kAdminWorkers) {}

  asio::io_context io{1};
  asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
  HttpCounts counts, admin_counts;
  Api api;
  Hub http, admin;
  std::shared_ptr<Listener> listener, admin_listener;
  std::thread thread;

  void run() {
    for (;;) {
      try {
        io.run();
        return;
      } catch (const std::exception& error) {  // what one connection could not do is no other's end
        SPDLOG_ERROR("HTTP: {}", error.what());
      }
    }
  }
};

Status can_listen(const config::Server& server) {
  asio::io_context io;
  HttpCounts counts;
  Hub hub(io, HttpLimits{}, {}, counts, 1);
  const auto listener = Listener::tcp(hub, server.host, static_cast<std::uint16_t>(server.port));
  if (!listener) return tl::unexpected(listener.error());
  return {};
}

Server::Server(std::shared_ptr<Parts> parts) : parts_(std::move(parts)) {}

Result<std::unique_ptr<Server>> Server::start(const ServerOptions& options, Backend& backend) {
  auto parts = std::make_shared<Parts>(options, backend);
  parts->http.whole = parts->admin.whole = parts;
  Result<std::shared_ptr<Listener>> listener =
      Listener::tcp(parts->http, options.server.host, static_cast<std::uint16_t>(options.server.port));
  if (!listener) return tl::unexpected(listener.error());
  parts->listener = std::move(*listener);
  if (!options.admin.socket.empty()) {
    Result<std::shared_ptr<Listener>> admin = Listener::local(parts->admin, options.admin.socket);
    if (!admin) return tl::unexpected(admin.error());
    parts->admin_listener = std::move(*admin);
    parts->admin_listener->accept();
  }
  parts->listener->accept();
  parts->thread = std::thread([&whole = *parts] { whole.run(); });
  return std::unique_ptr<Server>(new Server(std::move(parts)));
}

std::string Server::url() const {
  return fmt::format("http://{}:{}", parts_->listener->address(), parts_->listener->port());
}

bool Server::loopback() const { return parts_->http.loopback; }

void Server::stop_listening() {
  asio::post(parts_->io, [&parts = *parts_] {
    parts.listener->close();
    parts.http.closing = true;
    close_idle(parts.http);
  });
}

void Server::finish(std::uint64_t longest_ns) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::nanoseconds(longest_ns);
  while (parts_->counts.connections.load() > 0 && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
}

// Connections first, which cancels what runs for them and lets nobody queue any more (turn.cpp); then the workers' queue
// runs empty, which may still tell the I/O thread something; then that.
Server::~Server() {
  asio::post(parts_->io, [&parts = *parts_] {
    if (parts.listener) parts.listener->close();
    if (parts.admin_listener) parts.admin_listener->close();
    for (Hub* hub : {&parts.http, &parts.admin}) {
      hub->closing = true;
      close_all(*hub);
    }
  });
  parts_->http.workers.join();
  parts_->admin.workers.join();
  asio::post(parts_->io, [&parts = *parts_] { parts.work.reset(); });
  parts_->thread.join();
}

}  // namespace serveloop::server
