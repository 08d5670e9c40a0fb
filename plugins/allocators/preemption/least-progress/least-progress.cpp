// Who has got least far yields first (SGLang's retract_decode: fewest output tokens first): the least work is lost.
#include <serveloop/cpp/yielding.hpp>

namespace {

class LeastProgress {
 public:
  explicit LeastProgress(const sl::Setup& setup)
      : order_(setup), by_computed_(setup.text("progress") == "computed") {}

  void note(const sl::View& view) { order_.hear(view); }

  void preempt(const sl::PreemptIn& in, sl::Yields& yields) {
    const auto turns = order_.sort(in, [&](const sl_candidate&, const sl_seq_row& seq) {
      return by_computed_ ? seq.computed + seq.in_flight_max : seq.generated;
    });
    sl::until_covered(turns, in->need, [&](const sl::Turn& turn, uint32_t) {
      yields.recompute(turn.who->seq, turn.spared ? kNobodyElse : kLeastProgress);
      return turn.who->frees;
    });
    yields.gauge(kSpared, order_.spared());
  }

 private:
  // Indexes in plugin.toml's reasons and gauges.
  static constexpr uint16_t kLeastProgress = SL_REASON_PLUGIN + 0;
  static constexpr uint16_t kNobodyElse = SL_REASON_PLUGIN + 1;
  static constexpr uint32_t kSpared = 0;

  sl::YieldOrder order_;
  bool by_computed_;
};

}  // namespace

SERVELOOP_PREEMPTION(LeastProgress, "least-progress", "0.1.0");
