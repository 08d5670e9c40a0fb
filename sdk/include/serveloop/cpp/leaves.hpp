// Which blocks an eviction's answer may name: along each path the last first.
//
// A victim has no cached descendant in its tier outside the same answer (eviction.h). So a block may be named once all its
// cached children in its tier are named. A policy whose own order has children before their parents (lru's) need not ask.
#pragma once

#include <serveloop/cpp/eviction.hpp>
#include <utility>

namespace sl {

// Marks of one answer. Memory: 12 bytes a block; start() is O(1).
class Leaves {
 public:
  // `blocks`: of all tiers from which the policy names victims.
  explicit Leaves(uint32_t blocks) : marks_(blocks) {}

  void start() {
    ++call_;
    count_ = 0;
  }
  uint32_t count() const { return count_; }  // named so far
  bool named(uint32_t block) const { return marks_[block].call == call_ && marks_[block].named; }
  // Nobody uses it, it is in `tier`, and nothing cached stays below it there.
  bool may_leave(const EvictIn& in, uint32_t block, uint16_t tier = SL_TIER_DEVICE) const {
    return idle(in, block, tier) && !named(block) &&
           named_children(block) == in.blocks()[block].cached_children;
  }
  static bool idle(const EvictIn& in, uint32_t block, uint16_t tier = SL_TIER_DEVICE) {
    const sl_block_row& row = in.blocks()[block];
    return row.refs == 0 && row.tier == tier && (row.flags & SL_BLOCK_FLAG_INDEXED) != 0;
  }
  // Its parent in the same tier may be next: that, or SL_NONE.
  uint32_t name(const EvictIn& in, uint32_t block) {
    const sl_block_row& row = in.blocks()[block];
    of_now(block).named = true;
    ++count_;
    if (row.parent == SL_NONE || in.blocks()[row.parent].tier != row.tier) return SL_NONE;
    ++of_now(row.parent).children;
    return row.parent;
  }

 private:
  struct Mark {
    uint32_t call = 0, children = 0;  // of its cached children in its tier, those named in that call
    bool named = false;
  };
  uint32_t named_children(uint32_t block) const {
    return marks_[block].call == call_ ? marks_[block].children : 0;
  }
  Mark& of_now(uint32_t block) {
    Mark& mark = marks_[block];
    if (mark.call != call_) mark = Mark{call_, 0, false};
    return mark;
  }

  std::vector<Mark> marks_;
  uint32_t call_ = 1, count_ = 0;
};

// An answer's way through a list, from its front: the next that may leave. Those that could not when it came by, as something
// below them stayed, are looked at again where others have been named since. O(1) a block that leaves or is passed over.
class ListWalk {
 public:
  void start(const BlockList& list) {
    list_ = &list;
    at_ = list.front();
    named_ = 0;
  }
  // SL_NONE: nothing more. What was returned before stands in the list still, and is named.
  uint32_t next(const EvictIn& in, const Leaves& leaves) {
    while (true) {
      for (; at_ != list_->end(); at_ = list_->after(at_))
        if (leaves.may_leave(in, at_)) return std::exchange(at_, list_->after(at_));
      if (std::exchange(named_, leaves.count()) == leaves.count()) return SL_NONE;
      at_ = list_->front();
    }
  }

 private:
  const BlockList* list_ = nullptr;
  uint32_t at_ = 0;
  uint32_t named_ = 0;  // when it last began at the front
};

}  // namespace sl
