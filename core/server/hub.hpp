// What all connections of a server share: the I/O thread's context, workers that answer, bounds, counts. One request's
// way, and the thread it is on:
//
//   socket -> Listener -> Connection             I/O     one client; closes with it
//               RequestReader -> Request         I/O     bytes to a request, bounded
//   Turn (is the Exchange)                       any     this request's way back to its connection, and no other's
//   Router -> handler -> Generation::run         worker  parses, tokenises, submits to the engine
//   Generation::Part (is a service::Receiver)    loop    hears tokens and ends
//   Outbox                                       loop -> I/O   keeps them until the socket takes more: Turn::more
//   Generation::pull (is the Body) -> Chunks     I/O     a stream's events; a whole answer is written on a worker
//   Connection::write -> socket                  I/O
//
// The I/O thread moves bytes and writes streams. Parsing, tokenising, whole answers and policy swaps are the workers',
// so that one request's work holds no other's tokens up; what is quick and blocks on nothing (/health) needs no worker.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_set>
#include <vector>

#include "server/http_counts.hpp"
#include "server/router.hpp"

namespace serveloop::server {

struct HttpLimits {
  std::size_t body_bytes = std::size_t{32} << 20;
  // Of requests not yet parsed, all connections together.
  std::size_t all_bodies_bytes = std::size_t{512} << 20;
  std::uint32_t header_bytes = 64 << 10;
  std::uint32_t connections = 1024;
  std::chrono::milliseconds header{60'000};  // from the last answer (or the connect) to a whole header
  std::chrono::milliseconds body_pause{30'000};
  std::chrono::milliseconds body{600'000};
  // For a client to take a portion, or less where there is no more.
  std::chrono::milliseconds write_pause{60'000};
  std::size_t portion_bytes = 64 << 10;  // of a stream: written at one time
};

// Whoever has more to write: many wake-ups, one task of the I/O thread's. Any thread.
class Wakeups {
 public:
  void add(boost::asio::io_context& io, std::function<void()> task);

 private:
  std::mutex mutex_;
  std::vector<std::function<void()>> tasks_;
};

class Connection;

// One listener's connections and who answers them.
struct Hub {
  Hub(boost::asio::io_context& io_context, HttpLimits bounds, Router answers, HttpCounts& counters,
      std::size_t worker_threads)
      : io(io_context),
        limits(bounds),
        router(std::move(answers)),
        counts(counters),
        workers(worker_threads) {}

  boost::asio::io_context& io;
  const HttpLimits limits;
  const Router router;
  HttpCounts& counts;
  boost::asio::thread_pool workers;
  Wakeups wakeups;
  std::atomic<std::size_t> body_bytes{0};
  std::unordered_set<std::shared_ptr<Connection>> open;  // the I/O thread's; owns them until they close
  std::weak_ptr<void> whole;  // what holds the hub and its context: connections keep it
  bool closing = false;       // the I/O thread's: answer what is under way, keep nothing alive
  bool loopback = false;  // listens on a loopback address: see browser.hpp. Set before the first connection
};

}  // namespace serveloop::server
