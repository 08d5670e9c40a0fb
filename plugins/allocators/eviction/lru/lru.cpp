// Least recently used: the block that has been idle longest leaves first. O(1) an event, O(victims) an
// answer.
//
// Why no victim has a cached descendant outside the answer. A sequence that holds a block holds all blocks
// above it, and releases leaf first. So when a parent's last user goes (SL_BLOCK_IDLE), each cached child has
// been idle for longer, and while the parent stays idle no child can be hit or inserted below it. Children
// therefore stand before their parent in the list, and every head of the list is closed under "cached
// descendant".
//
// At a hot swap the blocks that existed before are told in slices between live events, so they have a list of
// their own (told oldest first; all idle for longer than anything that went idle since), which leaves first.
//
// With a host tier, what leaves in this order is dropped or demoted as two_tiers.hpp says.
#include <serveloop/cpp/two_tiers.hpp>

namespace {

class Lru {
 public:
  explicit Lru(const sl::Setup& setup)
      : inherited_(setup->blocks[SL_TIER_DEVICE]),
        idle_(setup->blocks[SL_TIER_DEVICE]),
        tiers_(setup, {kDemoted, kMadeRoom}) {}

  void note(const sl::EvictIn& in) {
    for (const sl_block_event& event : in.events()) {
      const uint32_t block = tiers_.hear(event);
      if (block == SL_NONE) continue;
      inherited_.remove(block);
      idle_.remove(block);
      if (event.kind == SL_BLOCK_IDLE)
        (event.flags & SL_EVENT_HANDOVER ? inherited_ : idle_).push_back(block);
    }
  }

  void evict(const sl::EvictIn& in, sl::Victims& victims) {
    note(in);
    tiers_.answer(in, victims, {{&inherited_, kOldest}, {&idle_, kOldest}});
  }

 private:
  static constexpr uint16_t kOldest = SL_REASON_PLUGIN + 0;  // indexes in plugin.toml's reasons
  static constexpr uint16_t kDemoted = SL_REASON_PLUGIN + 1;
  static constexpr uint16_t kMadeRoom = SL_REASON_PLUGIN + 2;

  sl::BlockList inherited_, idle_;  // longest idle first
  sl::TwoTiers tiers_;
};

}  // namespace

SERVELOOP_EVICTION(Lru, "lru", "0.1.0");
