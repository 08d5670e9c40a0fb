// A pool that is given out in contiguous extents, first fit: the allocation that paging replaced. What is free may lie in
// pieces that are each too small.
#pragma once

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <iterator>
#include <map>
#include <optional>

namespace serveloop::kv {

class Extents {
 public:
  explicit Extents(std::uint32_t blocks) : free_(blocks) {
    if (blocks > 0) pieces_.emplace(0, blocks);
  }

  // The lowest place where `blocks` (at least 1) are free in one piece; nothing where there is none. O(pieces).
  std::optional<std::uint32_t> take(std::uint32_t blocks) {
    const auto piece =
        std::find_if(pieces_.begin(), pieces_.end(), [&](const auto& p) { return p.second >= blocks; });
    if (piece == pieces_.end()) return std::nullopt;
    const auto [start, length] = *piece;
    pieces_.erase(piece);
    if (length > blocks) pieces_.emplace(start + blocks, length - blocks);
    free_ -= blocks;
    return start;
  }
  // Requires: it was taken, as one extent. Joins it with the free pieces beside it.
  void give_back(std::uint32_t start, std::uint32_t blocks) {
    auto after = pieces_.lower_bound(start);
    assert(after == pieces_.end() || start + blocks <= after->first);
    free_ += blocks;
    if (after != pieces_.end() && after->first == start + blocks) {
      blocks += after->second;
      after = pieces_.erase(after);
    }
    if (after != pieces_.begin()) {
      const auto before = std::prev(after);
      assert(before->first + before->second <= start);
      if (before->first + before->second == start) {
        before->second += blocks;
        return;
      }
    }
    pieces_.emplace_hint(after, start, blocks);
  }
  std::uint32_t free() const { return free_; }
  std::size_t pieces() const { return pieces_.size(); }

 private:
  std::uint32_t free_;
  std::map<std::uint32_t, std::uint32_t> pieces_;  // free: start -> blocks; no two touch
};

}  // namespace serveloop::kv
