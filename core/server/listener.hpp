// Takes connections, from TCP or from a local socket's file, and hands them to the hub. [I/O thread after creation]
#pragma once

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <string>

#include "base/result.hpp"
#include "server/hub.hpp"

namespace serveloop::server {

class Listener : public std::enable_shared_from_this<Listener> {
 public:
  using Acceptor = boost::asio::basic_socket_acceptor<boost::asio::generic::stream_protocol>;

  // `host`: an address, or a name that has one. Port 0: any free one.
  static Result<std::shared_ptr<Listener>> tcp(Hub& hub, const std::string& host, std::uint16_t port);
  // Creates the file for its owner alone (0600). A socket's file that nobody listens on is replaced; anything else that
  // is there is an error.
  static Result<std::shared_ptr<Listener>> local(Hub& hub, const std::string& path);
  ~Listener();

  void accept();
  void close();  // and removes the file
  std::uint16_t port() const { return port_; }
  const std::string& address() const { return address_; }  // "127.0.0.1", "[::1]"

 private:
  Listener(Hub& hub, Acceptor acceptor) : hub_(hub), acceptor_(std::move(acceptor)), pause_(hub.io) {}
  void accepted(boost::asio::generic::stream_protocol::socket socket);
  void pause(const boost::system::error_code& error);

  Hub& hub_;
  Acceptor acceptor_;
  boost::asio::steady_timer pause_;
  std::string address_, path_;
  std::uint64_t inode_ = 0;  // of path_
  std::uint16_t port_ = 0;
  std::chrono::steady_clock::time_point quiet_until_;  // no warning before
};

}  // namespace serveloop::server
