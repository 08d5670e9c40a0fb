#include "server/listener.hpp"

#include <fmt/format.h>
#include <netinet/tcp.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <cerrno>
#include <cstring>

#include "server/connection.hpp"

namespace serveloop::server {

namespace asio = boost::asio;
using ErrorCode = boost::system::error_code;
using Generic = asio::generic::stream_protocol;
using Local = asio::local::stream_protocol;

namespace {

constexpr int kBacklog = 1024;
constexpr std::chrono::milliseconds kPause{100};  // after an accept that failed: out of descriptors, mostly
constexpr std::chrono::minutes kQuiet{1};         // after a warning of it
constexpr int kUserTimeoutMs = 60'000;            // a peer that acknowledges nothing is gone

tl::unexpected<Error> wrong(const std::string& what, const ErrorCode& error, std::string hint = {}) {
  return fail(what, "", error.message(), std::move(hint));
}

// A listening socket. `prepare` may set what has to be set before it is bound.
template <class Prepare>
Result<Listener::Acceptor> listening(asio::io_context& io, const Generic::endpoint& endpoint,
                                     const std::string& what, Prepare&& prepare) {
  Listener::Acceptor acceptor(io);
  ErrorCode error;
  acceptor.open(endpoint.protocol(), error);
  if (!error) prepare(acceptor);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(kBacklog, error);
  if (error) {
    const bool used = error == asio::error::address_in_use;
    return wrong(what, error,
                 used ? "another program listens there; choose another, or port 0 for any free one" : "");
  }
  return acceptor;
}

// Whether the path is free to be bound, after a stale socket's file was removed.
Status make_way(asio::io_context& io, const std::string& path) {
  const std::string what = "[admin] socket " + path;
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0) return {};
  if (!S_ISSOCK(found.st_mode))
    return fail(what, "a path that is free, or a socket's", "a file that is none", "choose another path");
  Local::socket probe(io);
  ErrorCode error;
  probe.connect(Local::endpoint(path), error);
  if (!error)
    return fail(what, "a path that nobody listens on", "a program that does",
                "end it, or choose another path");
  if (error != asio::error::connection_refused) return wrong(what, error);
  if (::unlink(path.c_str()) != 0)
    return fail(what, "a stale socket's file that can be removed",
                ErrorCode(errno, boost::system::system_category()).message());
  return {};
}

void set(Generic::socket& socket, int level, int name, int value) {
  ::setsockopt(socket.native_handle(), level, name, &value, sizeof(value));
}

}  // namespace

Result<std::shared_ptr<Listener>> Listener::tcp(Hub& hub, const std::string& host, std::uint16_t port) {
  const std::string what = fmt::format("[server] host = \"{}\", port = {}", host, port);
  ErrorCode error;
  asio::ip::tcp::resolver resolver(hub.io);
  const auto found = resolver.resolve(host, std::to_string(port), asio::ip::tcp::resolver::passive, error);
  if (error || found.empty()) return wrong(what, error, "state an address such as 127.0.0.1");
  auto endpoint = found.begin()->endpoint();
  Result<Acceptor> acceptor = listening(hub.io, endpoint, what, [](Acceptor& a) {
    ErrorCode ignored;
    a.set_option(asio::socket_base::reuse_address(true), ignored);
  });
  if (!acceptor) return tl::unexpected(acceptor.error());
  std::shared_ptr<Listener> listener(new Listener(hub, std::move(*acceptor)));
  Generic::endpoint bound = listener->acceptor_.local_endpoint(error);
  std::memcpy(endpoint.data(), bound.data(), std::min(bound.size(), endpoint.capacity()));
  listener->port_ = endpoint.port();
  hub.loopback = endpoint.address().is_loopback();
  const std::string address = endpoint.address().to_string();
  listener->address_ = endpoint.address().is_v6() ? "[" + address + "]" : address;
  return listener;
}

Result<std::shared_ptr<Listener>> Listener::local(Hub& hub, const std::string& path) {
  const std::string what = "[admin] socket " + path;
  constexpr std::size_t kMostPath = sizeof(sockaddr_un{}.sun_path) - 1;
  if (path.size() > kMostPath)
    return fail(what, fmt::format("at most {} bytes", kMostPath), std::to_string(path.size()));
  if (Status free = make_way(hub.io, path); !free) return tl::unexpected(free.error());
  Result<Acceptor> acceptor = listening(hub.io, Local::endpoint(path), what, [](Acceptor& a) {
    ::fchmod(a.native_handle(),
             S_IRUSR | S_IWUSR);  // the file that bind makes gets the socket's mode (unix(7))
  });
  if (!acceptor) return tl::unexpected(acceptor.error());
  std::shared_ptr<Listener> listener(new Listener(hub, std::move(*acceptor)));
  struct stat made {};
  if (::stat(path.c_str(), &made) != 0 || (made.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    ::unlink(path.c_str());
    return fail(what, "a file of its owner's alone", "one that others may open");
  }
  listener->path_ = path;
  listener->inode_ = made.st_ino;
  return listener;
}

Listener::~Listener() { close(); }

void Listener::close() {
  ErrorCode ignored;
  acceptor_.close(ignored);
  pause_.cancel();
  struct stat found {};
  if (!path_.empty() && ::lstat(path_.c_str(), &found) == 0 && found.st_ino == inode_)
    ::unlink(path_.c_str());
  path_.clear();
}

void Listener::accept() {
  acceptor_.async_accept(hub_.io,
                         [self = shared_from_this()](const ErrorCode& error, Generic::socket socket) {
                           if (!self->acceptor_.is_open()) return;
                           if (error) return self->pause(error);
                           self->accepted(std::move(socket));
                           self->accept();
                         });
}

void Listener::pause(const ErrorCode& error) {
  const auto now = std::chrono::steady_clock::now();
  if (now >= quiet_until_) {
    SPDLOG_WARN("cannot accept connections: {}; they wait (see `ulimit -n` where files are meant)",
                error.message());
    quiet_until_ = now + kQuiet;
  }
  pause_.expires_after(kPause);
  pause_.async_wait([self = shared_from_this()](const ErrorCode& cancelled) {
    if (!cancelled) self->accept();
  });
}

void Listener::accepted(Generic::socket socket) {
  if (path_.empty()) {
    set(socket, IPPROTO_TCP, TCP_NODELAY, 1);
    set(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
    set(socket, IPPROTO_TCP, TCP_USER_TIMEOUT, kUserTimeoutMs);
  }
  start_connection(std::move(socket), hub_);
}

}  // namespace serveloop::server
