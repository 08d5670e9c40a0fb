// How long outputs are: those that ended lately, as a histogram, and what it says of one that goes on.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <vector>

namespace sl {

// Lengths in buckets: exact below 64 tokens, 32 buckets to each power of two above, so that a bucket's longest is less than
// 1/32 longer than its shortest.
inline constexpr uint32_t kLengthBuckets = 28 * 32;
inline uint32_t length_bucket(uint32_t tokens) {
  if (tokens < 64) return tokens;
  const auto log = static_cast<uint32_t>(std::bit_width(tokens)) - 6;  // tokens >> log has 6 bits
  return log * 32 + (tokens >> log);
}
inline uint32_t longest_of_bucket(uint32_t bucket) {
  if (bucket < 64) return bucket;
  const uint32_t log = bucket / 32 - 1;
  return static_cast<uint32_t>(((uint64_t{bucket - log * 32} + 1) << log) - 1);
}

// The lengths of the last `most` outputs that ended by themselves.
class OutputLengths {
 public:
  explicit OutputLengths(uint32_t most) : most_(most) {}

  void add(uint32_t tokens) {
    const auto bucket = static_cast<uint16_t>(length_bucket(tokens));
    ++counts_[bucket];
    if (ring_.size() < most_) {
      ring_.push_back(bucket);
      return;
    }
    --counts_[ring_[oldest_]];
    ring_[oldest_] = bucket;
    oldest_ = (oldest_ + 1) % most_;
  }
  bool empty() const { return ring_.empty(); }

  // Of the outputs longer than `beyond`, the length below which a share `quantile` (0 to 1) of them lies, up to its bucket's
  // longest; 0 where none was. O(buckets).
  uint32_t longer_than(uint32_t beyond, double quantile) const {
    uint32_t longer = 0;
    for (uint32_t b = length_bucket(beyond) + 1; b < kLengthBuckets; ++b) longer += counts_[b];
    if (longer == 0) return 0;
    auto left = std::min(static_cast<uint32_t>(quantile * longer), longer - 1);
    for (uint32_t b = length_bucket(beyond) + 1;; ++b) {
      if (left < counts_[b]) return longest_of_bucket(b);
      left -= counts_[b];
    }
  }

 private:
  uint32_t most_;
  std::vector<uint16_t> ring_;  // buckets
  std::size_t oldest_ = 0;
  std::array<uint32_t, kLengthBuckets> counts_{};
};

}  // namespace sl
