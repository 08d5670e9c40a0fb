// What /metrics tells of HTTP itself. Any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <utility>
#include <vector>

namespace serveloop::server {

class HttpCounts {
 public:
  void add(unsigned status) {
    by_status_[status < by_status_.size() ? status : 0].fetch_add(1, std::memory_order_relaxed);
  }
  // {status, answers}, those that occurred.
  std::vector<std::pair<unsigned, std::uint64_t>> all() const {
    std::vector<std::pair<unsigned, std::uint64_t>> out;
    for (unsigned status = 0; status < by_status_.size(); ++status)
      if (const std::uint64_t count = by_status_[status].load(std::memory_order_relaxed); count > 0)
        out.emplace_back(status, count);
    return out;
  }
  std::atomic<std::uint64_t> connections{0};  // open now

 private:
  std::array<std::atomic<std::uint64_t>, 600> by_status_{};
};

}  // namespace serveloop::server
