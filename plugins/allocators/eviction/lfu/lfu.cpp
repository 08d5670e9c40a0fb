// Least frequently used: the block that was hit least leaves first, among equals the one that has been idle longest.
// O(log blocks) an event and a victim.
//
// A hit of a block is one of all blocks above it, so of one path the last is never hit more than those before it, and with
// equal counts it went idle first: victims come leaf first by their score alone.
//
// With a host tier, what leaves in this order is dropped or demoted as two_tiers.hpp says.
#include <serveloop/cpp/by_score.hpp>

namespace {

class Lfu {
 public:
  explicit Lfu(const sl::Setup& setup) : by_hits_(setup, {kDemoted, kMadeRoom}) {}

  void note(const sl::EvictIn& in) {
    by_hits_.hear(
        in, [](const sl_block_event&, uint32_t) {}, [&](uint32_t block) { return in.blocks()[block].hits; });
  }

  void evict(const sl::EvictIn& in, sl::Victims& victims) {
    note(in);
    by_hits_.answer(in, victims, [](uint32_t) { return kFewestHits; });
  }

 private:
  static constexpr uint16_t kFewestHits = SL_REASON_PLUGIN + 0;  // indexes in plugin.toml's reasons
  static constexpr uint16_t kDemoted = SL_REASON_PLUGIN + 1;
  static constexpr uint16_t kMadeRoom = SL_REASON_PLUGIN + 2;

  sl::ByScore<uint32_t> by_hits_;
};

}  // namespace

SERVELOOP_EVICTION(Lfu, "lfu", "0.1.0");
