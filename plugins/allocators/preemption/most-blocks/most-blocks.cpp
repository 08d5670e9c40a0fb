// Who frees most blocks yields first: the fewest sequences yield.
//
// Largest first needs the fewest, since what candidates free adds up: any k of them free at most what the k largest do.
#include <serveloop/cpp/yielding.hpp>

namespace {

class MostBlocks {
 public:
  explicit MostBlocks(const sl::Setup& setup) : order_(setup) {}

  void note(const sl::View& view) { order_.hear(view); }

  void preempt(const sl::PreemptIn& in, sl::Yields& yields) {
    const auto turns = order_.sort(
        in, [](const sl_candidate& who, const sl_seq_row&) { return -static_cast<double>(who.frees); });
    sl::until_covered(turns, in->need, [&](const sl::Turn& turn, uint32_t) {
      yields.recompute(turn.who->seq, turn.spared ? kNobodyElse : kMostBlocks);
      return turn.who->frees;
    });
    yields.gauge(kSpared, order_.spared());
  }

 private:
  // Indexes in plugin.toml's reasons and gauges.
  static constexpr uint16_t kMostBlocks = SL_REASON_PLUGIN + 0;
  static constexpr uint16_t kNobodyElse = SL_REASON_PLUGIN + 1;
  static constexpr uint32_t kSpared = 0;

  sl::YieldOrder order_;
};

}  // namespace

SERVELOOP_PREEMPTION(MostBlocks, "most-blocks", "0.1.0");
