// Connections alone: a hub with the test's own routes and bounds, and its I/O thread.
#pragma once

#include <sys/socket.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <stdexcept>
#include <thread>

#include "client.hpp"
#include "fake.hpp"
#include "server/connection.hpp"

namespace serveloop::server::test {

class HubStage {
 public:
  explicit HubStage(Router router, const HttpLimits& limits = {})
      : hub_(io_, limits, std::move(router), counts_, 2), thread_([this] { run(); }) {}
  ~HubStage() {
    on_io([this] { close_all(hub_); }).wait();
    hub_.workers.join();
    on_io([this] { work_.reset(); });
    thread_.join();
  }

  // `send_buffer`: bytes that the server's side takes ahead of the client; 0: the system's choice.
  Client client(int send_buffer = 0) {
    int ends[2] = {-1, -1};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
      throw std::runtime_error("no sockets");
    if (send_buffer > 0) ::setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof(send_buffer));
    const int server_end = ends[0];
    on_io([this, server_end] {
      using Generic = boost::asio::generic::stream_protocol;
      start_connection(Generic::socket(io_, Generic(AF_UNIX, 0), server_end), hub_);
    }).wait();
    return Client::of(ends[1]);
  }

  template <class Act>
  std::future<void> on_io(Act act) {
    const auto done = std::make_shared<std::promise<void>>();
    boost::asio::post(io_, [act, done] {
      act();
      done->set_value();
    });
    return done->get_future();
  }

 private:
  void run() {
    for (;;) {
      try {
        io_.run();
        return;
      } catch (const std::exception&) {  // as the server: it goes on
      }
    }
  }

  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{io_.get_executor()};
  HttpCounts counts_;
  Hub hub_;
  std::thread thread_;
};

}  // namespace serveloop::server::test
