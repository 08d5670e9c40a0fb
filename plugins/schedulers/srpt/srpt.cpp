// Shortest remaining processing time first, on predicted lengths (Schrage and Miller, 1966; for LLMs: Fu et al., "Efficient
// LLM Scheduling by Learning to Rank", 2024; barred late in an answer: Shahout et al., TRAIL, 2024).
#include <serveloop/cpp/orders.hpp>
#include <serveloop/cpp/ranked_plan.hpp>

namespace {

class Srpt {
 public:
  explicit Srpt(const sl::Setup& setup)
      : prediction_(setup.text("length")),
        preempt_factor_(setup.number("preempt_factor")),
        barred_from_(setup.number("barred_from")),
        ranked_(setup, {.reason = kLonger, .decodes_always = true, .room_first = true, .swaps_out = true}) {}

  void note(const sl::View& view) { ranked_.hear(view, RankOf{this}); }

  void plan(const sl::View& view, sl::Plan& plan) {
    note(view);
    ranked_.refresh(view, RankOf{this});
    ranked_.write(view, plan,
                  [&](const sl::ShortestRemaining& waiting, const sl::ShortestRemaining& running) {
                    return static_cast<double>(waiting.left_ns) * preempt_factor_ <
                           static_cast<double>(running.left_ns);
                  });
    plan.gauge(kWaiting, static_cast<double>(ranked_.waiting().size()));
    plan.gauge(kPreempted, ranked_.preempted());
  }

 private:
  static constexpr uint16_t kLonger = SL_REASON_PLUGIN + 0;  // indexes in plugin.toml's reasons and gauges
  static constexpr uint32_t kWaiting = 0, kPreempted = 1;

  // Late in its answer a running one ranks before all that are not: what it holds is worth most there, and comes free soon.
  sl::ShortestRemaining rank_of(const sl::View& view, const sl_seq_row& seq) const {
    sl::ShortestRemaining rank = sl::ShortestRemaining::of(view, seq, prediction_);
    const double progress = seq.generated / static_cast<double>(prediction_.tokens(view.request(seq)));
    if (seq.state == SL_RUNNING && progress >= barred_from_) rank.left_ns = 0;
    return rank;
  }
  struct RankOf {
    const Srpt* policy;
    sl::ShortestRemaining operator()(const sl::View& view, const sl_seq_row& seq) const {
      return policy->rank_of(view, seq);
    }
  };

  sl::OutputPrediction prediction_;
  double preempt_factor_, barred_from_;
  sl::RankedPlan<sl::ShortestRemaining> ranked_;
};

}  // namespace

SERVELOOP_SCHEDULER(Srpt, "srpt", "0.1.0");
