// Preemption by recompute of the lowest ranked (vLLM's default): the last in plan rank yield until the need
// is covered.
#include <serveloop/cpp/preemption.hpp>

namespace {

class Recompute {
 public:
  explicit Recompute(const sl::Setup&) {}

  // Candidates stand in plan rank, those not in the plan last: so those go first, then the plan's tail.
  void preempt(const sl::PreemptIn& in, sl::Yields& yields) {
    const auto candidates = in.candidates();
    uint64_t freed = 0;
    for (std::size_t i = candidates.size(); i-- > 0 && freed < in->need; freed += candidates[i].frees)
      yields.recompute(candidates[i].seq, candidates[i].plan_rank == SL_NONE ? kNotPlanned : kLowestRank);
  }

 private:
  static constexpr uint16_t kLowestRank = SL_REASON_PLUGIN + 0;  // indexes in plugin.toml's reasons
  static constexpr uint16_t kNotPlanned = SL_REASON_PLUGIN + 1;
};

}  // namespace

SERVELOOP_PREEMPTION(Recompute, "recompute", "0.1.0");
