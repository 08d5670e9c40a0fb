// SIEVE (Zhang et al., NSDI 2024): one queue in order of insertion, a bit a block that a hit sets, and a hand that goes from the
// oldest to the newest. It clears the bits that are set and takes the first block without one; what it spares keeps its place.
// O(1) an event; O(1) a victim on average, as each block that the hand spares was hit since it last came by.
//
// A block joins the queue when it first goes idle, those of one path leaf first, so that children stand before their parents.
// The hand passes over what is in use, and what has something cached below it that stays.
//
// With a host tier, what leaves in this order is dropped or demoted as two_tiers.hpp says.
#include <serveloop/cpp/two_tiers.hpp>

namespace {

class Sieve {
 public:
  explicit Sieve(const sl::Setup& setup)
      : queue_(setup->blocks[SL_TIER_DEVICE]),
        hand_(queue_.end()),
        visited_(setup->blocks[SL_TIER_DEVICE], 0),
        tiers_(setup, {kDemoted, kMadeRoom}) {}

  void note(const sl::EvictIn& in) {
    for (const sl_block_event& event : in.events()) {
      const uint32_t block = tiers_.hear(event);
      if (block == SL_NONE) continue;
      switch (event.kind) {
        case SL_BLOCK_INSERTED:
        case SL_BLOCK_GONE: remove(block, 0); break;
        case SL_BLOCK_MOVED: remove(block, event.tier == SL_TIER_DEVICE); break;  // it came back: a hit
        case SL_BLOCK_HIT: visited_[block] = 1; break;
        case SL_BLOCK_IDLE:
          if (!queue_.contains(block)) queue_.push_back(block);
          break;
        default: break;
      }
    }
  }

  void evict(const sl::EvictIn& in, sl::Victims& victims) {
    note(in);
    tiers_.answer(in, victims, [&](const sl::Leaves& leaves) {
      return sl::Leaving{next(in, leaves), kSieved};
    });
  }

 private:
  static constexpr uint16_t kSieved = SL_REASON_PLUGIN + 0;  // indexes in plugin.toml's reasons
  static constexpr uint16_t kDemoted = SL_REASON_PLUGIN + 1;
  static constexpr uint16_t kMadeRoom = SL_REASON_PLUGIN + 2;

  void remove(uint32_t block, uint8_t visited) {
    if (hand_ == block) hand_ = queue_.after(block);
    queue_.remove(block);
    visited_[block] = visited;
  }

  // Twice around at most: once all bits are cleared.
  uint32_t next(const sl::EvictIn& in, const sl::Leaves& leaves) {
    for (uint64_t looks = 2 * uint64_t{queue_.size()}; looks > 0; --looks) {
      if (hand_ == queue_.end()) hand_ = queue_.front();
      const uint32_t block = hand_;
      hand_ = queue_.after(block);
      if (!std::exchange(visited_[block], uint8_t{0}) && leaves.may_leave(in, block)) return block;
    }
    return SL_NONE;
  }

  sl::BlockList queue_;  // oldest first
  uint32_t hand_;        // the next to look at
  std::vector<uint8_t> visited_;
  sl::TwoTiers tiers_;
};

}  // namespace

SERVELOOP_EVICTION(Sieve, "sieve", "0.1.0");
