// Greedy-Dual-Size-Frequency (Cherkasova, HP Labs TR-98-69R1, 1998): the block with the lowest priority leaves first,
//   priority = L + uses * cost / size
// from its last use on, where L, the inflation, is the highest priority that had left by then, so that what was used long ago
// ages. All blocks have one size. cost: what it takes to compute the block again, by the cost model in units of a block at the start of a prompt; or 1.
// O(log blocks) an event and a victim.
//
// With a host tier, what leaves in this order is dropped or demoted as two_tiers.hpp says.
#include <serveloop/cpp/by_score.hpp>

namespace {

class Gdsf {
 public:
  explicit Gdsf(const sl::Setup& setup)
      : by_prefill_(setup.text("cost") == "prefill"),
        of_(setup->blocks[SL_TIER_DEVICE]),
        by_priority_(setup, {kDemoted, kMadeRoom}) {}

  void note(const sl::EvictIn& in) {
    by_priority_.hear(
        in, [&](const sl_block_event& event, uint32_t block) { hear(in, event, block); },
        [&](uint32_t block) { return of_[block].priority; });
  }

  void evict(const sl::EvictIn& in, sl::Victims& victims) {
    note(in);
    by_priority_.answer(in, victims, [](uint32_t) { return kLowestPriority; });
    victims.gauge(kInflation, inflation_);
  }

 private:
  static constexpr uint16_t kLowestPriority =
      SL_REASON_PLUGIN + 0;  // indexes in plugin.toml's reasons and gauges
  static constexpr uint16_t kDemoted = SL_REASON_PLUGIN + 1;
  static constexpr uint16_t kMadeRoom = SL_REASON_PLUGIN + 2;
  static constexpr uint32_t kInflation = 0;

  struct Block {
    uint32_t uses = 0;
    double priority = 0;
  };
  void hear(const sl::EvictIn& in, const sl_block_event& event, uint32_t block) {
    const bool leaves = event.kind == SL_BLOCK_GONE || event.kind == SL_BLOCK_MOVED;
    if (leaves && by_priority_.contains(block)) inflation_ = std::max(inflation_, by_priority_.score(block));
    const bool known = (event.flags & SL_EVENT_HANDOVER) != 0 || event.kind == SL_BLOCK_MOVED;
    if (event.kind == SL_BLOCK_INSERTED || event.kind == SL_BLOCK_MOVED)
      used(in, event, block, known ? 1 + in.blocks()[block].hits : 1);
    if (event.kind == SL_BLOCK_HIT) used(in, event, block, of_[block].uses + 1);
  }
  void used(const sl::EvictIn& in, const sl_block_event& event, uint32_t block, uint32_t uses) {
    of_[block] = {uses, inflation_ + uses * cost(in.view(), event.depth)};
  }

  // Prefill of a block that stands behind `depth` others, beside that of the first one.
  double cost(const sl::View& view, uint32_t depth) const {
    if (!by_prefill_) return 1;
    const sl_cost& model = *view->cost;
    const uint32_t tokens = view->block_tokens;
    const auto prefill = [&](uint32_t start) {
      return model.prefill_token_ns * tokens + model.prefill_context_ns * sl_chunk_pairs(start, tokens);
    };
    const double first = prefill(0);
    return first > 0 ? prefill(depth * tokens) / first : 1;
  }

  bool by_prefill_;
  double inflation_ = 0;
  std::vector<Block> of_;
  sl::ByScore<double> by_priority_;
};

}  // namespace

SERVELOOP_EVICTION(Gdsf, "gdsf", "0.1.0");
