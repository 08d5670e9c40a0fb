// A byte trie in one array: nodes in breadth-first order, the children of a node side by side, ordered by
// their byte. Immutable once built, so any thread may read it. Private to core/text.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace serveloop::text {

class Trie {
 public:
  static constexpr std::uint32_t kRoot = 0;  // as a child: there is none
  static constexpr std::uint32_t kNone = UINT32_MAX;

  struct Node {
    std::uint32_t first_child = 0;
    std::uint32_t key = kNone;    // index of the key that ends here; the first of equal ones
    std::uint32_t below = kNone;  // index of some key that passes or ends here
    std::uint16_t children = 0;
    std::uint16_t depth = 0;  // bytes from the root
    std::uint8_t byte = 0;    // on the edge from its parent
  };

  Trie() = default;
  // Requires: no key is empty or longer than 65,535 bytes; fewer than 2^32 - 1 bytes in all.
  explicit Trie(std::span<const std::string_view> keys);

  std::uint32_t child(std::uint32_t node, std::uint8_t byte) const {
    if (node == kRoot) return roots_[byte];
    const Node& above = nodes_[node];
    std::uint32_t low = above.first_child, count = above.children;
    while (count > 1) {  // the last child whose byte is not greater
      const std::uint32_t half = count / 2;
      if (nodes_[low + half].byte <= byte) low += half;
      count -= half;
    }
    return count == 1 && nodes_[low].byte == byte ? low : kRoot;
  }
  // First byte of [from, size) that opens a key, or text.size().
  std::size_t skip(std::string_view text, std::size_t from) const {
    while (from < text.size() && roots_[static_cast<std::uint8_t>(text[from])] == kRoot) ++from;
    return from;
  }
  const Node& operator[](std::uint32_t node) const { return nodes_[node]; }
  std::uint32_t size() const { return static_cast<std::uint32_t>(nodes_.size()); }

 private:
  std::vector<Node> nodes_ = std::vector<Node>(1);
  std::array<std::uint32_t, 256> roots_{};  // children of the root
};

}  // namespace serveloop::text
