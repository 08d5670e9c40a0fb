// One small mixing function for seeds and test hashes: SplitMix64's finaliser over two words (Steele et al.,
// 2014).
#pragma once

#include <cstdint>

namespace serveloop {

constexpr std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  std::uint64_t x = a + 0x9e3779b97f4a7c15u * (b + 1);
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

}  // namespace serveloop
