// 64 random bits: ids and seeds that nobody named. Not for secrets. Any thread.
#pragma once

#include <cstdint>
#include <random>

namespace serveloop::server {

inline std::uint64_t random_bits() {
  thread_local std::mt19937_64 source{(std::uint64_t{std::random_device{}()} << 32) ^ std::random_device{}()};
  return source();
}

}  // namespace serveloop::server
