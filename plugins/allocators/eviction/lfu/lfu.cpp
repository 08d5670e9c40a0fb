// Least frequently used: the block that was hit least leaves first, among equals the one that has been idle longest.
// O(log blocks) an event and a victim.
//
// A hit of a block is one of all blocks above it, so of one path the last is never hit more than those before it, and with
// equal counts it went idle first: victims come leaf first by their score alone.
//
// With a host tier, what leaves in this order is dropped or demoted as two_tiers.hpp says.
#include <serveloop/cpp/leaf_order.hpp>
#include <serveloop/cpp/two_tiers.hpp>

namespace {

class Lfu {
 public:
  explicit Lfu(const sl::Setup& setup)
      : order_(setup->blocks[SL_TIER_DEVICE]), tiers_(setup, {kDemoted, kMadeRoom}) {}

  void note(const sl::EvictIn& in) {
    for (const sl_block_event& event : in.events()) {
      const uint32_t block = tiers_.hear(event);
      if (block == SL_NONE) continue;
      order_.hear(in, event, block, [&] { return in.blocks()[block].hits; });
    }
  }

  void evict(const sl::EvictIn& in, sl::Victims& victims) {
    note(in);
    order_.start();
    tiers_.answer(in, victims, [&](const sl::Leaves& leaves) {
      return sl::Leaving{order_.next(in, leaves), kFewestHits};
    });
  }

 private:
  static constexpr uint16_t kFewestHits = SL_REASON_PLUGIN + 0;  // indexes in plugin.toml's reasons
  static constexpr uint16_t kDemoted = SL_REASON_PLUGIN + 1;
  static constexpr uint16_t kMadeRoom = SL_REASON_PLUGIN + 2;

  sl::LeafOrder<uint32_t> order_;  // by hits
  sl::TwoTiers tiers_;
};

}  // namespace

SERVELOOP_EVICTION(Lfu, "lfu", "0.1.0");
