// The cheapest way to free the blocks, by the cost model: recompute or swap (as InferCept weighs them, ICML 2024), or,
// where only a part of a sequence's blocks is needed, keep the first and recompute the rest.
//
// Costs of a candidate that frees `frees` of its blocks, of which `left` are still to be freed:
//   recompute   its recompute_ns: all its tokens in one prefill
//   swap        its swap_ns: all it frees, out and in again
//   keep        one prefill of the tokens behind the blocks that it keeps, blocks_device - left; where left < frees
// A table's shared blocks are its first, so the last `left` of a sequence that frees more than that are its own.
#include <serveloop/cpp/yielding.hpp>

namespace {

class Cost {
 public:
  explicit Cost(const sl::Setup& setup)
      : order_(setup), keeps_(setup.boolean("keep")), cheapest_first_(setup.text("victims") == "cheapest") {}

  void note(const sl::View& view) { order_.hear(view); }

  void preempt(const sl::PreemptIn& in, sl::Yields& yields) {
    const sl::View view = in.view();
    const auto turns = order_.sort(in, [&](const sl_candidate& who, const sl_seq_row& seq) {
      if (!cheapest_first_) return 0.0;
      const Way way = cheapest(view, who, seq, in->need);
      return way.ns / std::max(1u, std::min(way.frees, in->need));
    });
    double predicted_ns = 0;
    sl::until_covered(turns, in->need, [&](const sl::Turn& turn, uint32_t left) {
      const Way way = cheapest(view, *turn.who, *turn.seq, left);
      name(yields, *turn.who, way, turn.spared);
      predicted_ns += way.ns;
      return way.frees;
    });
    yields.gauge(kSpared, order_.spared());
    yields.gauge(kPredictedNs, predicted_ns);
  }

 private:
  static constexpr uint16_t kRecompute = SL_REASON_PLUGIN + 0;  // indexes in plugin.toml's reasons and gauges
  static constexpr uint16_t kSwap = SL_REASON_PLUGIN + 1;
  static constexpr uint16_t kKeep = SL_REASON_PLUGIN + 2;
  static constexpr uint16_t kNobodyElse = SL_REASON_PLUGIN + 3;
  static constexpr uint32_t kSpared = 0, kPredictedNs = 1;

  struct Way {
    uint32_t mode, frees, keep_blocks;
    double ns;
  };

  // Equals go to the way that moves and holds least: recompute before keep before swap.
  Way cheapest(const sl::View& view, const sl_candidate& who, const sl_seq_row& seq, uint32_t left) const {
    Way best{SL_YIELD_RECOMPUTE, who.frees, 0, static_cast<double>(who.recompute_ns)};
    const uint32_t kept = kept_blocks(view, seq, left);
    if (keeps_ && (who.can & SL_CAN_KEEP) != 0 && left < who.frees && kept > 0) {
      const uint32_t start = kept * view->block_tokens;
      const uint32_t tokens = who.recompute_tokens - std::min(who.recompute_tokens, start);
      const double ns = sl_predict_prefill_ns(view->cost, start, tokens);
      if (ns < best.ns) best = {SL_YIELD_KEEP, std::min(who.frees, seq.blocks_device - kept), kept, ns};
    }
    if ((who.can & SL_CAN_SWAP) != 0 && static_cast<double>(who.swap_ns) < best.ns)
      best = {SL_YIELD_SWAP, who.frees, 0, static_cast<double>(who.swap_ns)};
    return best;
  }

  // Only blocks whose tokens all have KV, or will have, can be kept.
  static uint32_t kept_blocks(const sl::View& view, const sl_seq_row& seq, uint32_t left) {
    const uint32_t whole = (seq.computed + seq.in_flight_max) / view->block_tokens;
    return std::min(whole, seq.blocks_device - std::min(seq.blocks_device, left));
  }

  static void name(sl::Yields& yields, const sl_candidate& who, const Way& way, bool spared) {
    switch (way.mode) {
      case SL_YIELD_SWAP: return yields.swap(who.seq, spared ? kNobodyElse : kSwap);
      case SL_YIELD_KEEP: return yields.keep(who.seq, way.keep_blocks, spared ? kNobodyElse : kKeep);
      default: return yields.recompute(who.seq, spared ? kNobodyElse : kRecompute);
    }
  }

  sl::YieldOrder order_;
  bool keeps_, cheapest_first_;
};

}  // namespace

SERVELOOP_PREEMPTION(Cost, "cost", "0.1.0");
