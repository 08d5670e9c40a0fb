// Random numbers as a function of (seed, fork, position) alone, for host and device code: Philox4x32-10 (Salmon,
// Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011). Plain C++. Thread safety:
// stateless.
#pragma once

#include <cstdint>

#ifdef __CUDACC__
#define SERVELOOP_HOST_DEVICE __host__ __device__
#else
#define SERVELOOP_HOST_DEVICE
#endif

namespace serveloop::kernels {

struct PhiloxWords {
  std::uint32_t at[4];
};

SERVELOOP_HOST_DEVICE constexpr PhiloxWords philox(PhiloxWords counter, std::uint32_t key_0,
                                                   std::uint32_t key_1) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product_0 = std::uint64_t{0xD2511F53u} * counter.at[0];
    const std::uint64_t product_1 = std::uint64_t{0xCD9E8D57u} * counter.at[2];
    counter = {{static_cast<std::uint32_t>(product_1 >> 32) ^ counter.at[1] ^ key_0,
                static_cast<std::uint32_t>(product_1),
                static_cast<std::uint32_t>(product_0 >> 32) ^ counter.at[3] ^ key_1,
                static_cast<std::uint32_t>(product_0)}};
    key_0 += 0x9E3779B9u;
    key_1 += 0xBB67AE85u;
  }
  return counter;
}

// What the token at `position` (of the sequence, prompt counted) of fork `fork` of a request draws. 64 bits, uniform.
SERVELOOP_HOST_DEVICE constexpr std::uint64_t token_random(std::uint64_t seed, std::uint32_t fork,
                                                           std::uint64_t position) {
  const PhiloxWords words =
      philox({{static_cast<std::uint32_t>(position), static_cast<std::uint32_t>(position >> 32), fork, 0}},
             static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32));
  return static_cast<std::uint64_t>(words.at[1]) << 32 | words.at[0];
}

// floor(random x range / 2^64), without a 128-bit type.
SERVELOOP_HOST_DEVICE constexpr std::uint64_t scaled_random(std::uint64_t random, std::uint64_t range) {
  const std::uint64_t low = (random & 0xffffffffu) * (range & 0xffffffffu);
  const std::uint64_t mid_0 = (random >> 32) * (range & 0xffffffffu) + (low >> 32);
  const std::uint64_t mid_1 = (random & 0xffffffffu) * (range >> 32) + (mid_0 & 0xffffffffu);
  return (random >> 32) * (range >> 32) + (mid_0 >> 32) + (mid_1 >> 32);
}

}  // namespace serveloop::kernels
