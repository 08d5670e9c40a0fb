// The last in plan rank yields: to host memory where that is cheaper than to compute it again, else only as many
// of its last blocks as are needed.
#include <algorithm>
#include <serveloop/cpp/preemption.hpp>

class Mine {
 public:
  explicit Mine(const sl::Setup&) {}

  void preempt(const sl::PreemptIn& in, sl::Yields& yields) {
    const sl::View view = in.view();
    const auto candidates = in.candidates();  // in plan rank
    uint32_t left = in->need;
    for (std::size_t i = candidates.size(); i-- > 0 && left > 0;) {
      const sl_candidate& who = candidates[i];
      if ((who.can & SL_CAN_SWAP) != 0 && who.swap_ns < who.recompute_ns)
        yields.swap(who.seq);
      else if (left < who.frees)
        yields.keep(who.seq, view.find(who.seq)->blocks_device - left);
      else
        yields.recompute(who.seq);
      if (who.frees == 0) return;  // all of it is shared: once it has yielded, others may free more
      left -= std::min(left, who.frees);
    }
  }
};

SERVELOOP_PREEMPTION(Mine, "mine", "0.1.0");
