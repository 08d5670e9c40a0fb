// Eviction by score: of the idle blocks with nothing cached below them the one with the lowest score leaves first, then perhaps
// the block above it. Equal scores: whoever went idle first.
//
//   void note(const sl::EvictIn& in) {
//     for (const sl_block_event& event : in.events())
//       if (const uint32_t block = tiers_.hear(event); block != SL_NONE)
//         order_.hear(in, event, block, [&] { return my_score(in, block); });   // asked when it goes idle
//   }
//   void evict(const sl::EvictIn& in, sl::Victims& victims) {
//     note(in);
//     order_.start();
//     tiers_.answer(in, victims, [&](const sl::Leaves& leaves) { return sl::Leaving{order_.next(in, leaves), kReason}; });
//   }
//
// O(log blocks) an event and a victim.
#pragma once

#include <functional>
#include <queue>
#include <serveloop/cpp/leaves.hpp>
#include <set>
#include <tuple>

namespace sl {

template <class Score>
class LeafOrder {
 public:
  explicit LeafOrder(uint32_t blocks) : of_(blocks) {}

  template <class ScoreOf>
  void hear(const EvictIn& in, const sl_block_event& event, uint32_t block, ScoreOf&& score_of) {
    switch (event.kind) {
      case SL_BLOCK_IDLE: idle(in, event, block, score_of()); break;
      case SL_BLOCK_GONE: left(in, block); break;
      case SL_BLOCK_MOVED: left(in, block); break;  // to the host, or it came from there and is in use
      default: out(block); break;
    }
  }
  bool contains(uint32_t block) const { return of_[block].place != kOut; }
  const Score& score(uint32_t block) const { return of_[block].score; }
  void rescore(uint32_t block, const Score& score) {
    Entry& entry = of_[block];
    if (entry.place == kLeaf) ready_.erase(key(block));
    entry.score = score;
    if (entry.place == kLeaf) ready_.insert(key(block));
  }

  void start() {
    next_ = ready_.begin();
    above_ = {};
    last_ = SL_NONE;
    searched_ = false;
  }
  // The next of an answer, SL_NONE at its end; the one before it is named.
  uint32_t next(const EvictIn& in, const Leaves& leaves) {
    if (last_ != SL_NONE) consider(in, leaves, in.blocks()[last_].parent);
    last_ = take(in, leaves);
    if (last_ == SL_NONE && !searched_) {
      search(in, leaves);
      last_ = take(in, leaves);
    }
    return last_;
  }

 private:
  enum Place : uint8_t { kOut, kInner, kLeaf };  // not idle; idle with something below it; idle without
  using Key = std::tuple<Score, uint64_t, uint32_t>;
  struct Entry {
    Score score{};
    uint64_t ticket = 0;
    uint32_t parent = SL_NONE;
    Place place = kOut;
  };
  Key key(uint32_t block) const { return {of_[block].score, of_[block].ticket, block}; }

  void out(uint32_t block) {
    if (of_[block].place == kLeaf) ready_.erase(key(block));
    of_[block].place = kOut;
  }
  void put(uint32_t block, Place place) {
    of_[block].place = place;
    if (place == kLeaf) ready_.insert(key(block));
  }
  void idle(const EvictIn& in, const sl_block_event& event, uint32_t block, const Score& score) {
    out(block);
    const sl_block_row& row = in.blocks()[block];
    if (row.key != event.key) return;  // the row is of now, the event of before: it has left meanwhile
    of_[block].score = score;
    of_[block].ticket = ++tickets_;
    of_[block].parent = row.parent;
    put(block, row.cached_children == 0 ? kLeaf : kInner);
  }
  void left(const EvictIn& in, uint32_t block) {
    const uint32_t above = of_[block].parent;
    const bool was_idle = of_[block].place != kOut;
    out(block);
    if (was_idle && above != SL_NONE && of_.size() > above && of_[above].place == kInner &&
        in.blocks()[above].cached_children == 0)
      put(above, kLeaf);
  }

  // One that is idle with nothing below it, by this answer.
  void consider(const EvictIn& in, const Leaves& leaves, uint32_t block) {
    if (block < of_.size() && of_[block].place == kInner && leaves.may_leave(in, block))
      above_.push(key(block));
  }
  uint32_t take(const EvictIn& in, const Leaves& leaves) {
    while (next_ != ready_.end() || !above_.empty()) {
      if (!above_.empty() && (next_ == ready_.end() || above_.top() < *next_)) {
        const uint32_t block = std::get<2>(above_.top());
        above_.pop();
        return block;
      }
      const uint32_t block = std::get<2>(*next_++);
      if (leaves.may_leave(in, block)) return block;
      if (leaves.named(block)) continue;
      ready_.erase(key(block));
      of_[block].place =
          Leaves::idle(in, block) ? kInner : kOut;  // an event of it was left out of a full buffer
    }
    return SL_NONE;
  }
  // For those of whose last child the end was left out of a full event buffer. O(blocks), where no other is left.
  void search(const EvictIn& in, const Leaves& leaves) {
    searched_ = true;
    for (uint32_t block = 0; block < of_.size(); ++block) consider(in, leaves, block);
  }

  std::vector<Entry> of_;  // by block
  std::set<Key> ready_;    // leaves
  uint64_t tickets_ = 0;
  typename std::set<Key>::const_iterator next_ = ready_.end();
  std::priority_queue<Key, std::vector<Key>, std::greater<Key>>
      above_;  // that have become leaves by this answer
  uint32_t last_ = SL_NONE;
  bool searched_ = false;
};

}  // namespace sl
