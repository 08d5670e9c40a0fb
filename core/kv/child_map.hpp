// (parent node, key of a child's first block) -> child node. Open addressing, linear probing, no tombstones;
// nothing depends on the order of its entries. Equal keys of different tokens below one parent have room for
// one child: the first.
#pragma once

#include <cassert>
#include <utility>
#include <vector>

#include "base/huge_pages.hpp"
#include "kv/types.hpp"

namespace serveloop::kv {

class ChildMap {
 public:
  explicit ChildMap(std::size_t expected) {
    std::size_t capacity = 16;
    while (capacity < 2 * expected) capacity *= 2;
    entries_.resize(capacity);
  }
  NodeId find(NodeId parent, Key key) const { return entries_[place(parent, key)].child; }

  // Requires: the pair is not there.
  void insert(NodeId parent, Key key, NodeId child) {
    if (2 * (used_ + 1) > entries_.size()) grow();
    Entry& entry = entries_[place(parent, key)];
    assert(entry.child == SL_NONE);
    entry = {key, parent, child};
    ++used_;
  }
  // Requires: the pair is there.
  void replace(NodeId parent, Key key, NodeId child) {
    Entry& entry = entries_[place(parent, key)];
    assert(entry.child != SL_NONE);
    entry.child = child;
  }
  // Requires: the pair is there.
  void erase(NodeId parent, Key key) {
    const std::size_t mask = entries_.size() - 1;
    std::size_t hole = place(parent, key);
    assert(entries_[hole].child != SL_NONE);
    for (std::size_t i = (hole + 1) & mask; entries_[i].child != SL_NONE; i = (i + 1) & mask) {
      const std::size_t home = home_of(entries_[i].parent, entries_[i].key);
      if (((i - home) & mask) < ((i - hole) & mask)) continue;  // it would move above its home
      entries_[hole] = entries_[i];
      hole = i;
    }
    entries_[hole] = Entry{};
    --used_;
  }
  std::size_t size() const { return used_; }

 private:
  struct Entry {
    Key key = 0;
    NodeId parent = SL_NONE, child = SL_NONE;  // no child: empty
  };
  std::size_t home_of(NodeId parent, Key key) const {
    std::uint64_t x = (key ^ (std::uint64_t{parent} * 0x9e3779b97f4a7c15u)) * 0xbf58476d1ce4e5b9u;
    return (x ^ (x >> 32)) & (entries_.size() - 1);
  }
  std::size_t place(NodeId parent, Key key) const {  // the pair's entry, or the empty one where it belongs
    const std::size_t mask = entries_.size() - 1;
    std::size_t i = home_of(parent, key);
    while (entries_[i].child != SL_NONE && (entries_[i].key != key || entries_[i].parent != parent))
      i = (i + 1) & mask;
    return i;
  }
  void grow() {
    HugeVector<Entry> old(entries_.size() * 2);
    std::swap(old, entries_);
    for (const Entry& entry : old)
      if (entry.child != SL_NONE) entries_[place(entry.parent, entry.key)] = entry;
  }
  HugeVector<Entry> entries_;
  std::size_t used_ = 0;
};

}  // namespace serveloop::kv
