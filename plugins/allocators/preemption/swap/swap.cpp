// Preemption by swap (vLLM): the last in plan rank yield, and their blocks go to host memory where that can be; where
// not, they compute again later.
#include <serveloop/cpp/yielding.hpp>

namespace {

class Swap {
 public:
  explicit Swap(const sl::Setup& setup) : order_(setup) {}

  void note(const sl::View& view) { order_.hear(view); }

  void preempt(const sl::PreemptIn& in, sl::Yields& yields) {
    const auto turns = order_.sort(in, [](const sl_candidate&, const sl_seq_row&) { return 0; });
    sl::until_covered(turns, in->need, [&](const sl::Turn& turn, uint32_t) {
      if ((turn.who->can & SL_CAN_SWAP) != 0)
        yields.swap(turn.who->seq, turn.spared ? kNobodyElse : kLowestRank);
      else
        yields.recompute(turn.who->seq, kCannotSwap);
      return turn.who->frees;
    });
    yields.gauge(kSpared, order_.spared());
  }

 private:
  // Indexes in plugin.toml's reasons and gauges.
  static constexpr uint16_t kLowestRank = SL_REASON_PLUGIN + 0;
  static constexpr uint16_t kNobodyElse = SL_REASON_PLUGIN + 1;
  static constexpr uint16_t kCannotSwap = SL_REASON_PLUGIN + 2;
  static constexpr uint32_t kSpared = 0;

  sl::YieldOrder order_;
};

}  // namespace

SERVELOOP_PREEMPTION(Swap, "swap", "0.1.0");
