// ARC, adaptive replacement cache (Megiddo and Modha, FAST 2003): two LRU lists, T1 of blocks that were used once and T2 of those
// used again, and the keys that left each of them, B1 and B2. A block that comes again while its key is in B1 says that T1 was
// too small, one in B2 that T2 was: `target`, the size that T1 ought to have, moves by that. O(1) an event; O(1) a victim.
//
// The size of the cache, the paper's c, is the number of idle blocks: what sequences use is not to be had. A path's blocks go idle leaf
// first; where one has something cached below it that stays, the next of its list leaves, or of the other.
//
// With a host tier, what leaves in this order is dropped or demoted as two_tiers.hpp says.
#include <serveloop/cpp/ghosts.hpp>
#include <serveloop/cpp/two_tiers.hpp>

namespace {

class Arc {
 public:
  explicit Arc(const sl::Setup& setup)
      : t1_(setup->blocks[SL_TIER_DEVICE]),
        t2_(setup->blocks[SL_TIER_DEVICE]),
        again_(setup->blocks[SL_TIER_DEVICE], 0),
        tiers_(setup, {kDemoted, kMadeRoom}) {}

  void note(const sl::EvictIn& in) {
    for (const sl_block_event& event : in.events()) {
      const uint32_t block = tiers_.hear(event);
      if (block == SL_NONE) continue;
      const bool once = t1_.contains(block), twice = t2_.contains(block);
      t1_.remove(block);
      t2_.remove(block);
      switch (event.kind) {
        case SL_BLOCK_INSERTED:
          again_[block] = (event.flags & SL_EVENT_HANDOVER) == 0 && came(event.key);
          break;
        case SL_BLOCK_MOVED: again_[block] = event.tier == SL_TIER_DEVICE; break;
        case SL_BLOCK_HIT: again_[block] = 1; break;
        case SL_BLOCK_IDLE: (again_[block] ? t2_ : t1_).push_back(block); break;
        case SL_BLOCK_GONE:
          if (once && !std::exchange(forgets_, false)) b1_.push(event.key);
          if (twice) b2_.push(event.key);
          break;
        default: break;
      }
    }
  }

  void evict(const sl::EvictIn& in, sl::Victims& victims) {
    note(in);
    walk1_.start(t1_);
    walk2_.start(t2_);
    left1_ = t1_.size();
    tiers_.answer(in, victims, [&](const sl::Leaves& leaves) { return next(in, leaves); });
    victims.gauge(kTarget, target_);
    victims.gauge(kOnceBlocks, t1_.size());
  }

 private:
  static constexpr uint16_t kOnce = SL_REASON_PLUGIN + 0;  // indexes in plugin.toml's reasons and gauges
  static constexpr uint16_t kAgain = SL_REASON_PLUGIN + 1;
  static constexpr uint16_t kDemoted = SL_REASON_PLUGIN + 2;
  static constexpr uint16_t kMadeRoom = SL_REASON_PLUGIN + 3;
  static constexpr uint32_t kTarget = 0, kOnceBlocks = 1;

  uint32_t size() const { return t1_.size() + t2_.size(); }

  // A block entered the cache. True: it had left not long ago.
  bool came(uint64_t key) {
    const double once = b1_.size(), twice = b2_.size();
    in_b2_ = forgets_ = false;
    if (b1_.erase(key)) {
      target_ = std::min<double>(size(), target_ + std::max(twice / once, 1.0));
      return true;
    }
    if (b2_.erase(key)) {
      target_ = std::max(0.0, target_ - std::max(once / twice, 1.0));
      return in_b2_ = true;
    }
    if (t1_.size() + b1_.size() >= size()) {
      forgets_ = b1_.size() == 0;  // T1 alone is the cache: its next goes without a trace
      b1_.pop();
    } else if (size() + b1_.size() + b2_.size() >= 2 * size()) {
      b2_.pop();
    }
    return false;
  }

  sl::Leaving next(const sl::EvictIn& in, const sl::Leaves& leaves) {
    const bool prefers1 = left1_ > target_ || (in_b2_ && left1_ == target_);
    for (const bool first : {prefers1 && left1_ > 0, !(prefers1 && left1_ > 0)}) {
      const uint32_t block = (first ? walk1_ : walk2_).next(in, leaves);
      if (block == SL_NONE) continue;
      left1_ -= first ? 1 : 0;
      return {block, first ? kOnce : kAgain};
    }
    return {};
  }

  sl::BlockList t1_, t2_;  // longest idle first
  sl::Ghosts b1_, b2_;
  std::vector<uint8_t> again_;  // by block: it is used again, so it will go to T2
  double target_ = 0;           // blocks
  bool in_b2_ = false;          // what last entered the cache had left T2
  bool forgets_ = false;
  sl::ListWalk walk1_, walk2_;
  uint32_t left1_ = 0;  // of T1, by the answer so far
  sl::TwoTiers tiers_;
};

}  // namespace

SERVELOOP_EVICTION(Arc, "arc", "0.1.0");
