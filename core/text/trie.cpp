// A node is a range of the sorted keys that share its path; its children are the groups of that range by
// their next byte.
#include "text/trie.hpp"

#include <algorithm>
#include <numeric>

namespace serveloop::text {

Trie::Trie(std::span<const std::string_view> keys) {
  std::vector<std::uint32_t> order(keys.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [keys](std::uint32_t a, std::uint32_t b) {
    return keys[a] != keys[b] ? keys[a] < keys[b] : a < b;
  });
  struct Range {
    std::uint32_t begin, end;  // of `order`
  };
  std::vector<Range> ranges{{0, static_cast<std::uint32_t>(keys.size())}};  // [nodes]
  for (std::uint32_t node = 0; node < nodes_.size(); ++node) {
    auto [at, end] = ranges[node];
    const std::uint16_t depth = nodes_[node].depth;
    if (at < end) nodes_[node].below = order[at];
    if (at < end && keys[order[at]].size() == depth) nodes_[node].key = order[at];
    while (at < end && keys[order[at]].size() == depth) ++at;
    nodes_[node].first_child = size();
    while (at < end) {
      const char byte = keys[order[at]][depth];
      const std::uint32_t begin = at;
      while (at < end && keys[order[at]][depth] == byte) ++at;
      ++nodes_[node].children;
      Node child;
      child.byte = static_cast<std::uint8_t>(byte);
      child.depth = depth + 1;
      nodes_.push_back(child);
      ranges.push_back({begin, at});
    }
  }
  // Ranges are ordered by unsigned bytes: string_view compares as unsigned.
  for (std::uint32_t i = 0; i < nodes_[kRoot].children; ++i)
    roots_[nodes_[nodes_[kRoot].first_child + i].byte] = nodes_[kRoot].first_child + i;
}

}  // namespace serveloop::text
