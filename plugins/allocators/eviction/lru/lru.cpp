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
#include <serveloop/cpp/eviction.hpp>

namespace {

class Lru {
 public:
  explicit Lru(const sl::Setup& setup)
      : inherited_(setup->blocks[SL_TIER_DEVICE]), idle_(setup->blocks[SL_TIER_DEVICE]) {}

  void note(const sl::EvictIn& in) {
    for (const sl_block_event& event : in.events()) {
      if (event.kind == SL_BLOCK_MOVED) continue;
      inherited_.remove(event.block);
      idle_.remove(event.block);
      if (event.kind == SL_BLOCK_IDLE)
        (event.flags & SL_EVENT_HANDOVER ? inherited_ : idle_).push_back(event.block);
    }
  }

  void evict(const sl::EvictIn& in, sl::Victims& victims) {
    note(in);
    name_oldest(inherited_, in, victims);
    name_oldest(idle_, in, victims);
  }

 private:
  static constexpr uint16_t kOldest = SL_REASON_PLUGIN + 0;  // index in plugin.toml's reasons

  // Victims stay in the list until SL_BLOCK_GONE tells that the answer was taken.
  static void name_oldest(sl::BlockList& list, const sl::EvictIn& in, sl::Victims& victims) {
    const auto blocks = in.blocks();
    for (uint32_t block = list.front(), next; block != list.end() && victims.size() < in.need();
         block = next) {
      next = list.after(block);
      if (blocks[block].refs == 0)
        victims.drop(block, kOldest);
      else
        list.remove(block);  // its hit was left out of a full event buffer; it will go idle again
    }
  }

  sl::BlockList inherited_, idle_;  // longest idle first
};

}  // namespace

SERVELOOP_EVICTION(Lru, "lru", "0.1.0");
