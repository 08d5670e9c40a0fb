// Segmented LRU (Karedla, Love, Wherry: Caching strategies to improve disk system performance, IEEE Computer,
// 1994). A block that was hit since it was inserted goes idle into the protected segment, another into
// probation, or likewise where probation is full and the protected segment is not. Victims come from probation. Where the protected segment outgrows its share, its oldest go to
// the young end of probation. O(1) an event (each demotion undoes one promotion), O(victims) an answer.
//
// Why no victim has a cached descendant outside the answer. Victims are named in the order inherited,
// probation, protected, each longest idle first. For a parent P and a cached child C, both idle, C stands
// before P:
// - A sequence that holds a block holds all above it and releases leaf first, so C went idle before P, and as
// long as P
//   is idle, C cannot be hit. Within one segment C thus stands before P, and of the two C is demoted first.
// - C protected and P in probation cannot be: when C enters the protected segment, it marks P as hit
// (`hit_`), and P, whose
//   idle event is still to come, follows it.
// - `inherited_` holds what was idle before a hot swap, told oldest first. If P is in it, so is C: had C been
// in use since,
//   P would have been too.
//
// With a host tier, what leaves in this order is dropped or demoted as two_tiers.hpp says. A block that comes back from
// there was hit.
#include <cmath>
#include <serveloop/cpp/two_tiers.hpp>

namespace {

class Slru {
 public:
  explicit Slru(const sl::Setup& setup)
      : capacity_(share_of(setup, "protected_share")),
        probation_capacity_(share_of(setup, "probation_share")),
        inherited_(setup->blocks[SL_TIER_DEVICE]),
        probation_(setup->blocks[SL_TIER_DEVICE]),
        protected_(setup->blocks[SL_TIER_DEVICE]),
        hit_(setup->blocks[SL_TIER_DEVICE], 0),
        tiers_(setup, {kDemoted, kMadeRoom}) {}

  void note(const sl::EvictIn& in) {
    for (const sl_block_event& event : in.events()) {
      const uint32_t block = tiers_.hear(event);
      if (block == SL_NONE) continue;
      for (sl::BlockList* list : {&inherited_, &probation_, &protected_}) list->remove(block);
      switch (event.kind) {
        case SL_BLOCK_INSERTED:
          if (event.flags & SL_EVENT_HANDOVER) break;  // a block below it may have marked it before
          [[fallthrough]];
        case SL_BLOCK_GONE: hit_[block] = 0; break;
        case SL_BLOCK_MOVED: hit_[block] = event.tier == SL_TIER_DEVICE; break;
        case SL_BLOCK_HIT: hit_[block] = 1; break;
        case SL_BLOCK_IDLE: idle(in, event); break;
        default: break;
      }
    }
  }

  void evict(const sl::EvictIn& in, sl::Victims& victims) {
    note(in);
    tiers_.answer(in, victims,
                  {{&inherited_, kInherited}, {&probation_, kProbation}, {&protected_, kProtected}});
  }

 private:
  static constexpr uint16_t kProbation = SL_REASON_PLUGIN + 0;  // indexes in plugin.toml's reasons
  static constexpr uint16_t kProtected = SL_REASON_PLUGIN + 1;
  static constexpr uint16_t kInherited = SL_REASON_PLUGIN + 2;
  static constexpr uint16_t kDemoted = SL_REASON_PLUGIN + 3;
  static constexpr uint16_t kMadeRoom = SL_REASON_PLUGIN + 4;

  static uint32_t share_of(const sl::Setup& setup, const char* option) {
    return static_cast<uint32_t>(std::floor(setup.number(option) * setup->blocks[SL_TIER_DEVICE]));
  }

  void idle(const sl::EvictIn& in, const sl_block_event& event) {
    if (event.flags & SL_EVENT_HANDOVER) return inherited_.push_back(event.block);
    const bool finds_room = probation_.size() < probation_capacity_ || protected_.size() >= capacity_;
    if (!hit_[event.block] && finds_room) return probation_.push_back(event.block);
    // The row is of now, the event of before: if its block has left meanwhile, it has no parent to mark any
    // more.
    const sl_block_row& row = in.blocks()[event.block];
    if (row.key == event.key && row.parent != SL_NONE) hit_[row.parent] = 1;
    protected_.push_back(event.block);
    while (protected_.size() > capacity_) {
      const uint32_t oldest = protected_.front();
      protected_.remove(oldest);
      probation_.push_back(oldest);
    }
  }

  uint32_t capacity_, probation_capacity_;  // blocks of the protected segment; of probation, while that fills
  sl::BlockList inherited_, probation_, protected_;  // longest idle first
  std::vector<uint8_t> hit_;  // by block: it, or a block below it, was hit since it was inserted
  sl::TwoTiers tiers_;
};

}  // namespace

SERVELOOP_EVICTION(Slru, "slru", "0.1.0");
