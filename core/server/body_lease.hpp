// A request's body while it is read and until it is parsed, counted against those of all connections. One thread at a
// time.
#pragma once

#include <atomic>
#include <cstddef>

namespace serveloop::server {

class BodyLease {
 public:
  explicit BodyLease(std::atomic<std::size_t>& total) : total_(total) {}
  BodyLease(const BodyLease&) = delete;
  ~BodyLease() { total_ -= held_; }

  // The body has that many bytes now; false: all together have more than `most`.
  bool hold(std::size_t bytes, std::size_t most) {
    if (bytes <= held_) return true;
    const std::size_t more = bytes - held_;
    held_ = bytes;
    return total_.fetch_add(more) + more <= most;
  }

 private:
  std::atomic<std::size_t>& total_;
  std::size_t held_ = 0;
};

}  // namespace serveloop::server
