// S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023): a small queue for newcomers, a main one
// for those that were hit there often enough or came again soon after they had left, and the keys of those that left the small
// one. What was hit since it came to the front of the main queue goes round again, up to three times.
//
// Victims come from the main queue where it has more than its share of both, else from the small one. O(1) an event, and O(1)
// a victim on average. A block joins a queue when it first goes idle, those of one path leaf first; one in use, or with something
// cached below it that stays, goes round again.
//
// With a host tier, what leaves in this order is dropped or demoted as two_tiers.hpp says.
#include <cmath>
#include <serveloop/cpp/ghosts.hpp>
#include <serveloop/cpp/two_tiers.hpp>

namespace {

class S3Fifo {
 public:
  explicit S3Fifo(const sl::Setup& setup)
      : small_share_(setup.number("small_share")),
        ghost_share_(setup.number("ghost_share")),
        threshold_(static_cast<uint32_t>(setup.integer("hits_to_main"))),
        small_(setup->blocks[SL_TIER_DEVICE]),
        main_(setup->blocks[SL_TIER_DEVICE]),
        picked_(setup->blocks[SL_TIER_DEVICE]),
        of_(setup->blocks[SL_TIER_DEVICE]),
        blocks_(setup->blocks[SL_TIER_DEVICE]),
        tiers_(setup, {kDemoted, kMadeRoom}) {}

  void note(const sl::EvictIn& in) {
    for (const sl_block_event& event : in.events()) {
      const uint32_t block = tiers_.hear(event);
      if (block == SL_NONE) continue;
      switch (event.kind) {
        case SL_BLOCK_INSERTED: entered(block, ghosts_.erase(event.key)); break;
        case SL_BLOCK_MOVED: entered(block, event.tier == SL_TIER_DEVICE); break;  // it came back
        case SL_BLOCK_HIT: ++of_[block].hits; break;
        case SL_BLOCK_IDLE: idle(block); break;
        case SL_BLOCK_GONE:
          if (picked_.contains(block) && of_[block].from_small) ghosts_.push(event.key);
          entered(block, false);
          break;
        default: break;
      }
      while (ghosts_.size() > ghost_share_ * held_) ghosts_.pop();
    }
  }

  void evict(const sl::EvictIn& in, sl::Victims& victims) {
    note(in);
    while (!picked_.empty()) {  // an answer that was not taken
      const uint32_t block = picked_.front();
      picked_.remove(block);
      small_.push_back(block);
    }
    held_ = small_.size() + main_.size();
    tiers_.answer(in, victims, [&](const sl::Leaves& leaves) { return next(in, leaves); });
    victims.gauge(kSmallBlocks, small_.size());
    victims.gauge(kGhosts, ghosts_.size());
  }

 private:
  static constexpr uint16_t kSmall = SL_REASON_PLUGIN + 0;  // indexes in plugin.toml's reasons and gauges
  static constexpr uint16_t kMain = SL_REASON_PLUGIN + 1;
  static constexpr uint16_t kDemoted = SL_REASON_PLUGIN + 2;
  static constexpr uint16_t kMadeRoom = SL_REASON_PLUGIN + 3;
  static constexpr uint32_t kSmallBlocks = 0, kGhosts = 1;
  static constexpr uint32_t kMostRounds = 3;
  struct Block {
    uint32_t hits = 0;  // since it joined its queue
    bool known = false, from_small = false;
  };

  // In use, of a block that is not in a queue yet; or gone. `known`: it was here before.
  void entered(uint32_t block, bool known) {
    for (sl::BlockList* list : {&small_, &main_, &picked_}) list->remove(block);
    of_[block] = {0, known, false};
  }
  // Before anything has left, what does not fit in the small queue's share joins the main one.
  void idle(uint32_t block) {
    if (small_.contains(block) || main_.contains(block) || picked_.contains(block)) return;
    const bool full = held_ == 0 && small_.size() >= std::floor(small_share_ * blocks_);
    (of_[block].known || full ? main_ : small_).push_back(block);
    of_[block].hits = 0;
  }

  // A queue of which a whole round found nobody who may leave is passed over.
  sl::Leaving next(const sl::EvictIn& in, const sl::Leaves& leaves) {
    const double main_share = held_ - std::floor(small_share_ * held_);
    uint32_t small_stay = 0, main_stay = 0;  // looked at one after the other
    while (small_stay < small_.size() || main_stay < main_.size()) {
      const bool from_small =
          small_stay < small_.size() && (main_.size() <= main_share || main_stay >= main_.size());
      sl::BlockList& from = from_small ? small_ : main_;
      const uint32_t block = from.front();
      Block& of = of_[block];
      from.remove(block);
      if (from_small && of.hits >= threshold_) {
        of.hits = small_stay = main_stay = 0;
        main_.push_back(block);
      } else if (!from_small && of.hits > 0) {
        of.hits = std::min(of.hits, kMostRounds) - 1;
        main_stay = 0;
        main_.push_back(block);
      } else if (!leaves.may_leave(in, block)) {
        from.push_back(block);
        ++(from_small ? small_stay : main_stay);
      } else {
        of.from_small = from_small;
        picked_.push_back(block);
        return {block, from_small ? kSmall : kMain};
      }
    }
    return {};
  }

  double small_share_, ghost_share_;
  uint32_t threshold_;
  sl::BlockList small_, main_;  // oldest first
  sl::BlockList picked_;        // for the last answer
  std::vector<Block> of_;
  uint32_t blocks_, held_ = 0;  // in both queues when an answer was last asked for
  sl::Ghosts ghosts_;           // of those that left the small queue
  sl::TwoTiers tiers_;
};

}  // namespace

SERVELOOP_EVICTION(S3Fifo, "s3fifo", "0.1.0");
