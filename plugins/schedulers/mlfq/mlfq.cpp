// Skip-join multi-level feedback queue (Wu et al., FastServe, 2023): short work first without knowing lengths. Who has used
// up a level's share of device time goes down; who arrives enters at the level whose share holds its prompt.
#include <serveloop/cpp/levels.hpp>
#include <serveloop/cpp/overdue.hpp>
#include <serveloop/cpp/ranked_plan.hpp>

namespace {

class Mlfq {
 public:
  explicit Mlfq(const sl::Setup& setup)
      : levels_(setup),
        overdue_(setup, static_cast<uint64_t>(setup.integer("max_wait_ms")) * 1'000'000),
        ranked_(setup, {.reason = kLowerLevel, .decodes_always = true, .swaps_out = true}) {}

  void note(const sl::View& view) {
    overdue_.hear(view);
    ranked_.hear(view, RankOf{this});
  }

  void plan(const sl::View& view, sl::Plan& plan) {
    note(view);
    overdue_.take(view, [&](const sl_seq_row& seq) { ranked_.rank(seq.id, level_of(view, seq)); });
    ranked_.refresh(view, RankOf{this});
    ranked_.write(view, plan, [](const sl::LevelRank& waiting, const sl::LevelRank& running) {
      return waiting.level < running.level;
    });
    plan.gauge(kWaiting, static_cast<double>(ranked_.waiting().size()));
    plan.gauge(kPreempted, ranked_.preempted());
    plan.gauge(kOverdue, static_cast<double>(overdue_.total()));
  }

 private:
  static constexpr uint16_t kLowerLevel =
      SL_REASON_PLUGIN + 0;  // indexes in plugin.toml's reasons and gauges
  static constexpr uint32_t kWaiting = 0, kPreempted = 1, kOverdue = 2;

  sl::LevelRank level_of(const sl::View& view, const sl_seq_row& seq) const {
    const sl::ArrivalKey arrival = sl::ArrivalKey::of(view, seq);
    if (const auto overdue_ns = overdue_.served_ns(view, seq)) {  // it starts anew, from above all
      const uint32_t level = levels_.after(static_cast<double>(*overdue_ns));
      return {level == 0 ? -1 : int64_t{level}, arrival};
    }
    const auto service_ns = static_cast<double>(view.cold(seq).service_ns);
    const double prompt_ns = sl_predict_prefill_ns(view->cost, 0, view.request(seq).prompt_tokens);
    return {levels_.after(service_ns, levels_.holding(prompt_ns)), arrival};
  }
  struct RankOf {
    const Mlfq* policy;
    sl::LevelRank operator()(const sl::View& view, const sl_seq_row& seq) const {
      return policy->level_of(view, seq);
    }
  };

  sl::Levels levels_;
  sl::Overdue overdue_;
  sl::RankedPlan<sl::LevelRank> ranked_;
};

}  // namespace

SERVELOOP_SCHEDULER(Mlfq, "mlfq", "0.1.0");
